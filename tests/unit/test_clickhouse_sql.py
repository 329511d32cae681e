"""What the embedded ClickHouse takes from whom, decided by words alone."""

from __future__ import annotations

import pytest

from inventory.embedded.clickhouse_sql import (
    Denied,
    parse,
    refuse_engines,
    refuse_for_analysts,
)
from sinks.clickhouse.statements import UnclearSql, split_statements, tokens

TABLE_FUNCTIONS = frozenset(("url", "s3", "file", "remote", "executable", "python", "eval"))


def refused_for_analysts(sql: str) -> bool:
    try:
        refuse_for_analysts(parse(sql.encode()), TABLE_FUNCTIONS)
    except Denied as denied:
        return denied.code in (62, 164)
    return False


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2 ; ;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', `a;b`, \"c;d\" -- ; no\n; /* ; */ SELECT 'it''s; \\'fine\\''",
         ["SELECT ';', `a;b`, \"c;d\"", "SELECT 'it''s; \\'fine\\''"]),
        ("-- only a comment ;", []),
        ("", []),
    ],
)  # fmt: skip
def test_statements_end_at_semicolons_outside_quotes_and_comments(
    sql: str, statements: list[str]
) -> None:
    assert split_statements(sql) == statements


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'open",
        "/* open",
        "/* a /* b */ c */ 1",
        "$$a$$",
        "# a",
        "// a",
        "SELECT\u00a01",
        "SELECT \u2018a\u2019",
        'SELECT "a\\x62"',
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(sql: str) -> None:
    with pytest.raises(UnclearSql):
        list(tokens(sql))


def test_an_insert_is_told_from_its_rows() -> None:
    request = parse(b"INSERT INTO t (a, `b`) FORMAT Native\n\x01\x00;';SELECT")
    assert request.sql == "INSERT INTO t (a, `b`)"
    assert request.format == "Native"
    assert request.data == b"\x01\x00;';SELECT"


def test_rows_may_follow_on_the_same_line() -> None:
    assert parse(b"INSERT INTO t FORMAT JSONEachRow {}").data == b"{}"
    assert parse(b"INSERT INTO t FORMAT CSV\n 1,2\n").data == b" 1,2\n"
    assert parse(b"INSERT INTO t FORMAT Native").data == b""


def test_an_insert_from_a_query_carries_no_rows() -> None:
    assert parse(b"INSERT INTO t SELECT 1").data is None
    assert parse(b"INSERT INTO t VALUES (1, 'FORMAT x')").data is None


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "", ";", "SELECT 1; DROP TABLE t"])
def test_exactly_one_statement_is_taken(sql: str) -> None:
    with pytest.raises(Denied) as denied:
        parse(sql.encode())
    assert denied.value.code == 62


@pytest.mark.parametrize(
    "engine",
    ["Kafka", "kafka()", "RabbitMQ", "NATS", "`Kafka`", "S3Queue", "URL('http://x')", "File(CSV)"],
)
@pytest.mark.parametrize("equals", ["ENGINE =", "engine", "Engine/**/="])
def test_engines_that_break_the_folder_never_reach_it(engine: str, equals: str) -> None:
    with pytest.raises(Denied) as denied:
        refuse_engines(parse(f"CREATE TABLE t (a Int8) {equals} {engine}".encode()))
    assert denied.value.code == 36


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a Int8) ENGINE = ReplacingMergeTree(a) ORDER BY a",
        "CREATE DATABASE d ENGINE = Atomic",
        "CREATE VIEW v AS SELECT engine FROM system.tables",
        "SELECT * FROM system.tables WHERE engine = 'Kafka'",
    ],
)
def test_ordinary_engines_pass(sql: str) -> None:
    refuse_engines(parse(sql.encode()))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t FORMAT CSV\n1",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "SET max_threads = 1",
        "KILL QUERY WHERE 1",
        "SYSTEM SHUTDOWN",
        "BACKUP TABLE t TO File('x')",
        "SELECT file('/etc/passwd')",
        "SELECT `file`('/etc/passwd')",
        "SELECT \"FILE\"/**/('/etc/passwd')",
        "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "DESCRIBE url('http://127.0.0.1')",
        "DESCRIBE TABLE `url` ('http://127.0.0.1')",
        "DESC s3/* */('http://127.0.0.1/a/b')",
        "EXPLAIN SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT * FROM eval('x')",
        "SELECT `f\\x69le`('/etc/passwd')",
        "SELECT * FROM url\u00a0('http://127.0.0.1')",
    ],
)
def test_analysts_only_read_this_server(sql: str) -> None:
    assert refused_for_analysts(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH 1 AS a SELECT a",
        "FROM t SELECT a",
        "SELECT url, 'file' FROM t",
        "SHOW TABLES",
        "DESCRIBE TABLE sales",
        "EXPLAIN SELECT 1",
        "EXISTS TABLE t",
        "USE inventory",
        "SELECT * FROM stock_as_of(at = '2026-01-01', known_by = '2026-01-01')",
        "SELECT number FROM numbers(3) FORMAT JSON",
        "SELECT format('{}', 'a')",
    ],
)
def test_analysts_may_read(sql: str) -> None:
    assert not refused_for_analysts(sql)
