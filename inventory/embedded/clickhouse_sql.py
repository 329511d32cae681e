"""What a request asks of the embedded ClickHouse, and whether it may be given.

The engine has no users and no grants; its `readonly=1` stops writes, but not everything: SELECT
may still write a file (INTO OUTFILE), read one (the function `file`) or call a server (DESCRIBE
url(...)). What it lets through is refused here, by words.
"""

from __future__ import annotations

from dataclasses import dataclass

from sinks.clickhouse.statements import Token, UnclearSql, split_statements, tokens

# Creating a table of such an engine fails in chDB, but leaves its definition behind, and then the
# whole folder cannot be opened again. So only engines that are known to work are let through.
ENGINES = frozenset(
    f"{kind}MERGETREE"
    for kind in (
        "",
        "REPLACING",
        "SUMMING",
        "AGGREGATING",
        "COLLAPSING",
        "VERSIONEDCOLLAPSING",
        "COALESCING",
    )
) | {"MEMORY", "LOG", "TINYLOG", "STRIPELOG", "NULL", "SET", "JOIN", "BUFFER", "MERGE", "ATOMIC"}
READING = frozenset(
    ("SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "USE")
)
# fmt: off
HARMLESS_TABLE_FUNCTIONS = frozenset((
    "numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generate_series", "generateseries",
    "generaterandom", "values", "view", "viewifpermitted", "viewexplain", "null", "merge",
    "format",
))
# fmt: on
# The statement stands at the head of an INSERT's body; its data follow.
_HEAD = 64 * 1024

READONLY, SYNTAX_ERROR, BAD_ARGUMENTS = 164, 62, 36


class Denied(Exception):
    """A request that is not passed to the engine; `code` is ClickHouse's own for such a thing."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}. ({name})")
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """One statement.

    data: the rows after `INSERT ... FORMAT x`; None where the statement carries none.
    format: of the rows that follow, or of the answer where the statement says one.
    reads: it asks for rows and changes nothing.
    """

    sql: str
    words: tuple[Token, ...]
    data: bytes | None = None
    format: str | None = None

    @property
    def first(self) -> str:
        return self.words[0].text.upper()

    @property
    def reads(self) -> bool:
        return self.first in ("SELECT", "WITH", "FROM", "(")


def parse(body: bytes) -> Request:
    """The one statement in a body. Raises Denied (62) where there is none, several, or unclear."""
    insert = _insert_with_data(body)
    if insert is not None:
        return insert
    try:
        sql = body.decode()
        found = split_statements(sql)
        if len(found) != 1:
            what = "Multi-statements are not allowed" if found else "Empty query"
            raise Denied(SYNTAX_ERROR, "SYNTAX_ERROR", what)
        words = tuple(tokens(found[0]))
    except (UnclearSql, UnicodeDecodeError) as error:
        raise Denied(SYNTAX_ERROR, "SYNTAX_ERROR", f"Syntax error: {error}") from error
    asked = words[-1].text if len(words) > 2 and words[-2].says("FORMAT") else None
    return Request(found[0], words, None, asked)


def _insert_with_data(body: bytes) -> Request | None:
    """`INSERT INTO t [(columns)] FORMAT x` and its rows; None for every other statement."""
    # Latin-1 keeps a character a byte, and the data behind the head are not text at all.
    head = body[:_HEAD].decode("latin-1")
    words: list[Token] = []
    try:
        for token in tokens(head):
            words.append(token)
            if not words[0].says("INSERT"):
                return None
            if token.kind == "word" and token.text.upper() in ("SELECT", "WITH", "VALUES"):
                return None
            if len(words) > 2 and words[-2].says("FORMAT"):
                break
        else:
            return None
    except UnclearSql:
        return None
    sql = body[: words[-2].start].decode(errors="replace").strip()
    data = body[words[-1].end :]
    return Request(sql, tuple(words[:-2]), _without_line_end(data), words[-1].text)


def _without_line_end(data: bytes) -> bytes:
    """The space between the format's name and the rows ends with the line."""
    line = data[: data.find(b"\n") + 1]
    return data[len(line) :] if line and not line.strip() else data.lstrip(b" ")


def refuse_engines(request: Request) -> None:
    """Raises Denied where a statement names a table or database engine that isn't known."""
    if request.first not in ("CREATE", "ATTACH", "REPLACE"):
        return
    words = request.words
    for here, token in enumerate(words[:-1]):
        if not token.says("ENGINE"):
            continue
        after = words[here + 1]
        if after.text == "=" and here + 2 < len(words):
            after = words[here + 2]
        if after.kind not in ("word", "name") or after.says("FROM"):
            continue  # a column of that name
        if after.text.upper() not in ENGINES:
            raise Denied(
                BAD_ARGUMENTS,
                "BAD_ARGUMENTS",
                f"The table engine {after.text} does not exist in the embedded ClickHouse",
            )


def refuse_for_analysts(request: Request, table_functions: frozenset[str]) -> None:
    """Raises Denied (164) for whatever isn't plain reading of this server's own tables."""
    allowed = request.first in READING or request.first == "("
    if not allowed or request.data is not None:
        raise _readonly(request.words[0].text)
    following = (*request.words[1:], None)
    for token, after in zip(request.words, following, strict=True):
        if token.kind not in ("word", "name"):
            continue
        name = token.text.lower()
        if name in ("file", "outfile", "infile"):
            raise _readonly(token.text)
        if name in table_functions and after is not None and after.text == "(":
            raise _readonly(token.text)


def _readonly(word: str) -> Denied:
    return Denied(READONLY, "READONLY", f"Analysts read: {word!r} is not allowed in readonly mode")
