"""ClickHouse's HTTP protocol, as clients and BI tools speak it, in front of the embedded engine."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import json
import os
import re
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from inventory.embedded.clickhouse_bodies import BadBody, unpack
from inventory.embedded.clickhouse_engine import SESSION_SECONDS, Answer, Engine, User
from inventory.embedded.clickhouse_sql import BAD_ARGUMENTS, Denied, parse

BODY_MAX = 1 << 30
AUTHENTICATION_FAILED, NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE = 516, 48, 307
# Parameters of the transport, not settings of the engine.
# fmt: off
TRANSPORT = frozenset((
    "query", "query_id", "database", "default_format", "user", "password", "quota_key", "role",
    "session_id", "session_timeout", "session_check", "buffer_size", "wait_end_of_query",
    "compress", "decompress", "enable_http_compression", "http_zlib_compression_level",
    "client_protocol_version", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close",
))
# fmt: on
STATUS = {
    AUTHENTICATION_FAILED: 403,
    164: 403,
    497: 403,
    60: 404,
    81: 404,
    46: 404,
    47: 404,
    373: 423,
    NOT_IMPLEMENTED: 501,
    QUERY_IS_TOO_LARGE: 413,
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 53, 62, 72, 115, 131, 386, 456, 457), 400),
}
CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
}
_CODE = re.compile(r"Code: (\d+)\.")

Credentials = dict[User, tuple[str, str]]
"""Role -> user name and password."""


class Handler(BaseHTTPRequestHandler):
    """One connection. `engine` and `credentials` are set on a subclass by the server."""

    engine: ClassVar[Engine]
    credentials: ClassVar[Credentials]
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    timeout = 3600  # an idle connection ends after so many seconds

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Requests are not logged: queries may hold what is nobody's business."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in ("/ping", "/replicas_status") or self.path == "/":
            self._send(200, b"Ok.\n", {"Content-Type": "text/html; charset=UTF-8"})
        else:
            self._serve(read_only=True)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._serve(read_only=False)

    def _serve(self, read_only: bool) -> None:
        self._arguments = dict(
            parse_qsl(urlsplit(self.path).query, keep_blank_values=True, errors="surrogateescape")
        )
        self._query_id = self._arguments.get("query_id") or str(uuid.uuid4())
        try:
            body = self._read_body()
            self._answer(body, read_only)
        except Denied as denied:
            self._fail(denied.code, str(denied))
        except ValueError as error:  # BadBody, or a number that is none
            self._fail(BAD_ARGUMENTS, f"Code: {BAD_ARGUMENTS}. DB::Exception: {error}")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except RuntimeError as error:  # chDB raises nothing more exact for what the engine refuses
            text = str(error)
            code = _CODE.search(text)
            self._fail(int(code[1]) if code else 1002, text)

    def _answer(self, body: bytes, read_only: bool) -> None:
        arguments = self._arguments
        user = self._who()
        for name in ("compress", "decompress"):
            if arguments.get(name, "0") not in ("0", "false"):
                raise Denied(
                    NOT_IMPLEMENTED,
                    "NOT_IMPLEMENTED",
                    f"ClickHouse's own block compression is not spoken here: set {name}=0",
                )
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            arguments.update(_form(content_type, body))
            body = b""
        sql = arguments.get("query", "").encode(errors="surrogateescape")
        request = parse(sql + b"\n" + body if sql and body else sql or body)
        database = arguments.get("database") or self.headers.get("X-ClickHouse-Database") or ""
        default = (
            arguments.get("default_format")
            or self.headers.get("X-ClickHouse-Format")
            or "TabSeparated"
        )
        settings = {
            name: value
            for name, value in arguments.items()
            if name not in TRANSPORT and not name.startswith("param_")
        }
        parameters = {
            name.removeprefix("param_"): value
            for name, value in arguments.items()
            if name.startswith("param_")
        }
        seconds = float(arguments.get("session_timeout", SESSION_SECONDS))
        session_id = arguments.get("session_id", "")
        with self.engine.lease(user, session_id, seconds, read_only) as lease:
            lease.prepare(database, settings)
            self._send_answer(lease.run(request, default, parameters))

    # --- what comes in ---------------------------------------------------------------------------

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raw = b"".join(self._chunks())
        else:
            raw = self._read(int(self.headers.get("Content-Length") or 0))
        return unpack(raw, self.headers.get("Content-Encoding", ""))

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        while True:
            size = int(self.rfile.readline().partition(b";")[0] or b"0", 16)
            total += size
            chunk = self._read(size, total)
            self.rfile.readline()
            if not size:
                return
            yield chunk

    def _read(self, size: int, total: int = 0) -> bytes:
        if max(size, total) > BODY_MAX:
            self.close_connection = True
            raise Denied(QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", "the body is larger than 1 GiB")
        data = self.rfile.read(size)
        if len(data) < size:
            self.close_connection = True
            raise BadBody("the connection ended in the middle of the body")
        return data

    def _who(self) -> User:
        name, password = self._login()
        for role, (known, secret) in self.credentials.items():
            same_name = hmac.compare_digest(name.encode(), known.encode())
            if hmac.compare_digest(password.encode(), secret.encode()) and same_name:
                return role
        raise Denied(
            AUTHENTICATION_FAILED,
            "AUTHENTICATION_FAILED",
            f"{name}: Authentication failed: password is incorrect, or there is no such user",
        )

    def _login(self) -> tuple[str, str]:
        headers = self.headers
        if "X-ClickHouse-User" in headers:
            return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
        kind, _, value = headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                name, _, password = base64.b64decode(value).decode().partition(":")
            except ValueError:
                return "", ""
            return name, password
        return self._arguments.get("user", "default"), self._arguments.get("password", "")

    # --- what goes out ---------------------------------------------------------------------------

    def _send_answer(self, answer: Answer) -> None:
        headers = {
            "Content-Type": CONTENT_TYPES.get(answer.format, "application/octet-stream"),
            "X-ClickHouse-Format": answer.format,
            "X-ClickHouse-Timezone": self.engine.timezone,
            "X-ClickHouse-Server-Display-Name": "inventory",
            "X-ClickHouse-Summary": json.dumps(
                {name: str(count) for name, count in answer.counts.items()}
            ),
        }
        first = next(answer.chunks, b"")
        second = next(answer.chunks, None)
        if second is None:
            self._send(200, first, headers)
            return
        tag = uuid.uuid4().hex[:16]
        self._head(
            200, headers | {"Transfer-Encoding": "chunked", "X-ClickHouse-Exception-Tag": tag}
        )
        try:
            self._chunk(first)
            self._chunk(second)
            for chunk in answer.chunks:
                self._chunk(chunk)
        except RuntimeError as error:  # the engine's, in the middle of the rows
            text = str(error).encode()
            self._chunk(
                b"__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n"
                % (tag.encode(), text, len(text) + 1, tag.encode())
            )
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _fail(self, code: int, message: str) -> None:
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-ClickHouse-Exception-Code": str(code),
        }
        body = f"{message} (version {self.engine.version})\n".encode(errors="replace")
        self._send(STATUS.get(code, 500), body, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("X-Inventory-Server", str(os.getpid()))
        if getattr(self, "_query_id", ""):
            self.send_header("X-ClickHouse-Query-Id", self._query_id)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form; files (ClickHouse's external tables) are refused."""
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields = {}
    for part in message.iter_parts():
        if part.get_filename() is not None:
            raise Denied(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "External tables are not taken here")
        name = part.get_param("name", header="content-disposition")
        payload: Any = part.get_payload(decode=True)
        fields[str(name)] = payload.decode(errors="surrogateescape")
    return fields
