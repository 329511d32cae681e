"""The embedded ClickHouse as clients see it: each trap of chDB and of its protocol is a test."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import clickhouse_connect
import lz4.frame
import pandas as pd
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.support.broker import free_ports
from tests.support.clickhouse import USERS, Warehouse


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path_factory.mktemp("clickhouse"))
    warehouse.start()
    warehouse.ask("CREATE DATABASE inventory ENGINE = Atomic", database="default")
    yield warehouse
    assert warehouse.end(signal.SIGTERM) == 0


@pytest.fixture
def table(server: Warehouse, request: pytest.FixtureRequest) -> str:
    name = f"t{abs(hash(request.node.name))}"
    columns = "number Int64, price Decimal(18, 4), name String, at DateTime64(3, 'UTC')"
    server.ask(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY number")
    return name


def code(answer: tuple[int, dict[str, str], bytes]) -> int:
    return int(answer[1]["X-ClickHouse-Exception-Code"])


# --- who answers, who may come -----------------------------------------------------------------


def test_ping_names_the_process_and_needs_no_login(server: Warehouse) -> None:
    assert server.process is not None
    status, headers, body = server.get("/ping")
    assert (status, body) == (200, b"Ok.\n")
    assert headers["X-Inventory-Server"] == str(server.process.pid)
    assert server.get("/replicas_status")[2] == server.get("/")[2] == b"Ok.\n"


def test_a_wrong_password_or_user_is_refused_with_516(server: Warehouse) -> None:
    for user, password in (("sink", "wrong"), ("nobody", "write & read"), ("sink", "")):
        headers = {"Authorization": "", "X-ClickHouse-User": user, "X-ClickHouse-Key": password}
        answer = server.post("SELECT 1", headers=headers)
        assert (answer[0], code(answer)) == (403, 516)
    status, headers, _ = server.get("/?query=SELECT%201")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    with pytest.raises(DatabaseError) as error:
        clickhouse_connect.get_client(
            host="127.0.0.1", port=server.port, username="sink", password="wrong"
        )
    assert error.value.code == 516


def test_a_login_may_stand_in_headers_or_in_the_address(server: Warehouse) -> None:
    user = USERS["analyst"]
    headers = {
        "Authorization": "",
        "X-ClickHouse-User": user["user"],
        "X-ClickHouse-Key": user["password"],
    }
    assert server.post("SELECT 1", headers=headers)[2] == b"1\n"
    address = f"/?user={user['user']}&password=read%20only&query=SELECT%202"
    assert server.get(address)[2] == b"2\n"


# --- inserts: nothing is lost without a word -----------------------------------------------------

ROWS = 200_000  # more than one block, so more than one compressed frame


def rows(count: int) -> list[list[Any]]:
    return [[n, Decimal("1.2500"), f"name {n}", datetime(2026, 1, 1)] for n in range(count)]  # noqa: DTZ001


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_every_frame_of_a_large_insert_is_stored(
    server: Warehouse, table: str, compress: str | bool
) -> None:
    client = server.client(database="inventory", compress=compress)
    summary = client.insert(table, rows(ROWS), column_names=["number", "price", "name", "at"])
    assert summary.written_rows == ROWS
    assert server.ask(f"SELECT count(), uniqExact(number) FROM {table}") == f"{ROWS}\t{ROWS}"


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_a_body_that_is_cut_off_stores_nothing(
    server: Warehouse, table: str, encoding: str
) -> None:
    pack = {"lz4": lz4.frame.compress, "zstd": zstandard.compress, "gzip": gzip.compress}[encoding]
    body = pack(b"".join(b'[%d,"1","a","2026-01-01 00:00:00"]\n' % n for n in range(1000)))
    answer = server.post(
        body[:-5],
        headers={"Content-Encoding": encoding},
        query=f"INSERT INTO {table} FORMAT JSONCompactEachRow",
        database="inventory",
    )
    assert (answer[0], code(answer)) == (400, 36)
    assert b"cut off" in answer[2]
    assert server.ask(f"SELECT count() FROM {table}") == "0"


def test_the_summary_says_how_many_rows_were_written(server: Warehouse, table: str) -> None:
    _, headers, _ = server.post(
        f"INSERT INTO {table} (number) FORMAT CSV\n1\n2\n3\n", database="inventory"
    )
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "3"
    _, headers, _ = server.post(
        f"INSERT INTO {table} (number) SELECT number FROM numbers(7)", database="inventory"
    )
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "7"


def test_a_bad_row_is_refused_with_clickhouse_s_own_code(server: Warehouse, table: str) -> None:
    answer = server.post(f"INSERT INTO {table} FORMAT CSV\nno number\n", database="inventory")
    assert answer[0] == 400
    assert code(answer) == 27
    assert server.ask(f"SELECT count() FROM {table}") == "0"


def test_values_come_back_as_they_went_in(server: Warehouse, table: str) -> None:
    frame = pd.DataFrame(
        {
            "number": [1, -2],
            "price": [Decimal("12.3456"), Decimal("-0.0001")],
            "name": ["", "it's\ta \\ 'Tee' ☕"],
            "at": pd.to_datetime(["2026-03-01 09:00:00.123", "2199-12-31 23:59:59.999"]),
        }
    )
    client = server.client(database="inventory")
    client.insert_df(table, frame)
    found = client.query_df(f"SELECT * FROM {table} ORDER BY number DESC")
    assert found.to_dict("records") == frame.to_dict("records")


async def test_the_asynchronous_client_works_with_many_queries_at_once(
    server: Warehouse, table: str
) -> None:
    user = USERS["sink"]
    async with await clickhouse_connect.get_async_client(
        host="127.0.0.1",
        port=server.port,
        username=user["user"],
        password=user["password"],
        database="inventory",
    ) as client:
        await client.insert(table, rows(1000), column_names=["number", "price", "name", "at"])
        asked = (client.query(f"SELECT count() + {n} FROM {table}") for n in range(30))
        found = await asyncio.gather(*asked)
    assert [answer.result_rows[0][0] for answer in found] == [1000 + n for n in range(30)]


# --- settings, sessions, parameters --------------------------------------------------------------

LIMIT = "SELECT getSetting('max_result_rows')"


def test_settings_in_the_address_count_for_one_request(server: Warehouse) -> None:
    assert server.post(LIMIT, max_result_rows="17")[2] == b"17\n"
    assert server.post(LIMIT)[2] == b"0\n"
    session = {"session_id": "settings"}
    assert server.post(LIMIT, max_result_rows="17", **session)[2] == b"17\n"
    assert server.post(LIMIT, **session)[2] == b"0\n"
    assert server.post("SELEKT 1", max_result_rows="17", **session)[0] == 400
    assert server.post(LIMIT, **session)[2] == b"0\n"


def test_an_unknown_setting_is_refused_and_an_analyst_s_is_not_taken(server: Warehouse) -> None:
    assert code(server.post("SELECT 1", no_such_setting="1")) == 115
    assert code(server.post("SELECT 1", **{"max_threads = 1, readonly": "0"})) == 115
    assert server.post(LIMIT, "analyst", max_result_rows="17", no_such="1")[2] == b"0\n"


def test_sessions_keep_what_was_set_and_do_not_share_it(server: Warehouse) -> None:
    server.post("SET max_result_rows = 5", session_id="a")
    assert server.post(LIMIT, session_id="a")[2] == b"5\n"
    assert server.post(LIMIT, session_id="b")[2] == b"0\n"
    assert server.post(LIMIT)[2] == b"0\n"
    assert server.post(LIMIT, "analyst", session_id="a")[2] == b"0\n"


def until_running(server: Warehouse) -> None:
    """Wait until the query with `sleep(2)` runs."""
    limit = time.monotonic() + 10
    asked = "SELECT count() FROM system.processes WHERE query LIKE concat('%sle', 'ep(2)%')"
    while server.ask(asked, database="default") == "0":
        assert time.monotonic() < limit, "the query was never seen running"


def test_a_session_in_use_is_locked(server: Warehouse) -> None:
    slow = threading.Thread(
        target=server.post, args=("SELECT sleep(2)",), kwargs={"session_id": "locked"}
    )
    slow.start()
    until_running(server)
    answer = server.post("SELECT 1", session_id="locked")
    slow.join()
    assert (answer[0], code(answer)) == (423, 373)
    assert server.post("SELECT 1", session_id="locked")[0] == 200


def test_parameters_are_bound_by_the_engine(server: Warehouse) -> None:
    client = server.client()
    text = "it's\t\\ {x} ' OR 1 -- ☕"
    sql = "SELECT {text:String}, {numbers:Array(Int64)}, {at:DateTime64(3, 'UTC')}"
    values = {"text": text, "numbers": [1, -2], "at": datetime(2026, 1, 1, 12)}  # noqa: DTZ001
    (found,) = client.query(sql, parameters=values).result_rows
    assert found == (text, [1, -2], datetime(2026, 1, 1, 12))  # noqa: DTZ001
    long = "x" * 100_000  # too long for an address: the client sends a form
    assert client.query("SELECT {text:String}", parameters={"text": long}).result_rows == [(long,)]


# --- errors, formats, many rows ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM no_such_table", (404, 60)),
        ("SELECT no_such_column", (404, 47)),
        ("SELEKT 1", (400, 62)),
        ("SELECT 1; SELECT 2", (400, 62)),
        ("", (400, 62)),
        ("SELECT throwIf(1)", (500, 395)),
    ],
)
def test_errors_carry_clickhouse_s_codes(
    server: Warehouse, sql: str, expected: tuple[int, int]
) -> None:
    answer = server.post(sql)
    assert (answer[0], code(answer)) == expected
    assert b"DB::Exception" in answer[2]


def test_an_error_in_the_middle_of_the_rows_is_seen(server: Warehouse) -> None:
    client = server.client()
    sql = "SELECT number, throwIf(number = 2500000) FROM numbers(3000000)"
    with pytest.raises(StreamFailureError) as error:
        sum(len(block) for block in client.query(sql).result_columns)
    assert error.value.code == 395


def test_many_rows_come_in_blocks_and_complete(server: Warehouse) -> None:
    client = server.client()
    with client.query_df_stream("SELECT number FROM numbers(1000000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 1_000_000
    assert len(sizes) > 5


def test_formats_are_named_in_the_answer(server: Warehouse) -> None:
    status, headers, body = server.post("SELECT 1 AS one FORMAT JSONCompact", "analyst")
    assert (status, headers["X-ClickHouse-Format"]) == (200, "JSONCompact")
    assert json.loads(body)["data"] == [[1]]
    _, headers, body = server.post("SELECT 1, 'a'", default_format="CSV")
    assert (headers["X-ClickHouse-Format"], body) == ("CSV", b'1,"a"\n')


def test_clickhouse_s_own_block_compression_is_refused_not_misread(server: Warehouse) -> None:
    answer = server.post("SELECT 1", compress="1")
    assert (answer[0], code(answer)) == (501, 48)


# --- what breaks a folder never reaches it -------------------------------------------------------


@pytest.mark.parametrize("engine", ["Kafka", "RabbitMQ", "NATS", "`Kafka`"])
def test_queue_engines_are_refused_and_leave_nothing(server: Warehouse, engine: str) -> None:
    options = "SETTINGS kafka_broker_list='a:1', kafka_topic_list='a', kafka_format='CSV'"
    answer = server.post(f"CREATE TABLE queue (a Int8) ENGINE = {engine} {options}")
    assert (answer[0], code(answer)) == (400, 36)
    assert not list(server.folder.glob("metadata/**/queue.sql"))


# --- analysts read, and nothing else -------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {table} (number) VALUES (1)",
        "INSERT INTO {table} (number) FORMAT CSV\n1\n",
        "INSERT INTO {table} (number) SELECT 1",
        "TRUNCATE TABLE {table}",
        "DROP TABLE {table}",
        "ALTER TABLE {table} DELETE WHERE 1",
        "OPTIMIZE TABLE {table}",
        "CREATE TABLE mine (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE mine (a Int8)",
        "SET max_threads = 1",
        "SET readonly = 0",
        "SELECT 1 SETTINGS max_threads = 1",
        "KILL QUERY WHERE 1",
        "SELECT * FROM file('{secret}', 'LineAsString')",
        "SELECT file('{secret}')",
        "SELECT `file`('{secret}')",
        "SELECT * APPLY(file) FROM (SELECT '{secret}')",
        "DESCRIBE file('{secret}')",
        "SELECT 1 INTO OUTFILE '{secret}.copy'",
        "SELECT * FROM url('{url}', 'LineAsString')",
        "DESCRIBE url('{url}/a.csv')",
        "DESCRIBE s3('{url}/bucket/a.csv')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT * FROM executable('x', 'TSV', 'a String')",
        "SELECT * FROM Python(frame)",
    ],
)
def test_analysts_only_read(server: Warehouse, table: str, tmp_path: Path, sql: str) -> None:
    asked: list[str] = []

    class Outside(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with http.server.HTTPServer(("127.0.0.1", 0), Outside) as outside:
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{outside.server_port}"
        statement = sql.format(table=table, secret=secret, url=url)
        answer = server.post(statement, "analyst", database="inventory")
        outside.shutdown()
    assert answer[0] == 403, answer
    assert code(answer) == 164
    assert not asked
    assert b"secret\n" not in answer[2]
    assert list(tmp_path.iterdir()) == [secret]
    assert server.ask(f"SELECT count() FROM {table}") == "0"


def test_analysts_read_what_is_there(server: Warehouse, table: str) -> None:
    server.ask(f"INSERT INTO {table} (number) VALUES (5)")
    client = server.client("analyst", database="inventory")
    assert client.query(f"SELECT number FROM {table}").result_rows == [(5,)]
    assert list(client.query_df(f"SELECT number FROM {table}")["number"]) == [5]
    assert table in server.ask("SHOW TABLES", "analyst")


def test_an_analyst_s_query_is_bounded(server: Warehouse) -> None:
    limits = "SELECT getSetting('max_execution_time'), getSetting('max_memory_usage')"
    assert server.ask(limits, "analyst") == "60\t1000000000"
    hungry = "SELECT groupArray(number) FROM numbers(1000000000)"
    assert code(server.post(hungry, "analyst")) == 241


def test_get_only_reads_whoever_asks(server: Warehouse, table: str) -> None:
    insert = f"INSERT INTO {table} (number) VALUES (1)"
    answer = server.post(insert, "sink", method="GET", database="inventory")
    assert (answer[0], code(answer)) == (403, 164)
    assert server.post("SELECT 1", "sink", method="GET", session_id="get")[2] == b"1\n"
    assert server.post(insert, "sink", session_id="get", database="inventory")[0] == 200


# --- starting and stopping -----------------------------------------------------------------------


def test_a_second_process_on_the_folder_is_told_so_in_a_sentence(server: Warehouse) -> None:
    (port,) = free_ports(1)
    second = subprocess.run(server.command(port), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    (sentence,) = second.stderr.splitlines()
    assert str(server.folder) in sentence
    assert "in use by another process" in sentence


def test_a_taken_port_is_told_so_in_a_sentence(server: Warehouse, tmp_path: Path) -> None:
    other = Warehouse(tmp_path / "other")
    second = subprocess.run(other.command(server.port), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    (sentence,) = second.stderr.splitlines()
    assert f"Port {server.port} cannot be used" in sentence


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_is_there_after_the_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.start()
    warehouse.ask("CREATE DATABASE w ENGINE = Atomic", database="default")
    warehouse.ask("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a", database="w")
    for n in range(20):
        warehouse.ask(f"INSERT INTO t SELECT number FROM numbers({1000 * n}, 1000)", database="w")
    ended = warehouse.end(number)
    assert ended == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    warehouse.start()
    assert warehouse.ask("SELECT count(), max(a) FROM t", database="w") == "20000\t19999"
    warehouse.end(signal.SIGTERM)


def test_stopping_lets_a_running_query_finish(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.start()
    answers: list[bytes] = []
    slow = threading.Thread(
        target=lambda: answers.append(warehouse.post("SELECT 'done', sleep(2)")[2])
    )
    slow.start()
    until_running(warehouse)
    assert warehouse.end(signal.SIGTERM) == 0
    slow.join()
    assert answers == [b"done\t0\n"]
