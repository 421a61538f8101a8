"""Request heads: one compiled expression that validates a whole head in C, and what the head says of its framing.

Strict by RFC 9110 and 9112: what two parsers could read in two ways is refused, not guessed. Pure; the proxy and the
front door call it (`parse_request`), the proxy's hot path uses `PLAIN_REQUEST` first.
Offsets are into the bytes that were given, so that a head can be forwarded by slices of what came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from gslb.errors import HttpError

TARGET_BYTES_MAX = 8_192
FIELDS_MAX = 128
HEAD_BYTES_MAX = 32_768
PLAIN_HEAD_BYTES_MAX = 8_192
LENGTH_DIGITS_MAX = 15  # 10^15 bytes: beyond any body, far below where a server's integer overflows
CHUNKED = -1  # as a body's length: chunked

# RFC 9110 §5.6.2 token, §5.5 field value. Possessive: a mismatch is found without backtracking. Only classes are: a
# possessive group matches wrongly before Python 3.11.5 (cpython issue 106052), and Debian 12 has 3.11.2. What follows
# a group here can't begin like it, so that giving back is tried once for each repetition, and fails at once.
_TOKEN_CHARACTERS = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
TOKEN = rb"[" + _TOKEN_CHARACTERS + rb"]++"
_VALUE = rb":[^\x00-\x08\x0a-\x1f\x7f]*+\r\n"
FIELD = rb"(?:" + TOKEN + _VALUE + rb")"
FIELDS = FIELD + b"{0," + str(FIELDS_MAX).encode() + b"}"
# Visible ASCII but "#" (no fragments) and "%", which must start a valid escape other than %00.
_TARGET = rb"[\x21\x22\x24\x26-\x7e]*+(?:%(?!00)[0-9A-Fa-f]{2}[\x21\x22\x24\x26-\x7e]*+)*"


def names(*each: bytes) -> bytes:
    """An expression for lower-case field names that shares first letters; `-` also matches `_` (see _CRITICAL)."""
    groups: dict[bytes, list[bytes]] = {}
    for name in sorted(each):
        groups.setdefault(name[:1], []).append(name[1:])
    parts = (first + b"(?:" + b"|".join(rest) + b")" for first, rest in groups.items())
    return b"|".join(parts).replace(b"-", b"[-_]")


def ordinary_field(special: bytes, first_letters: bytes) -> tuple[bytes, bytes]:
    """Two alternatives that together match one field line whose name is not in `special`.

    The first needs no look-ahead: its name starts with none of `first_letters`, those that special names start with.
    """
    either = first_letters + first_letters.upper()
    rest = rb"[" + _TOKEN_CHARACTERS + rb"]*+" + _VALUE
    return rb"[^\x00-\x20\"(),/:;<=>?@\[\\\]{}\x7f-\xff" + either + rb"]" + rest, (
        rb"(?!(?i:" + special + rb"):)[" + either + rb"]" + rest
    )


REQUEST_SPECIAL = (
    names(
        b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer",
        b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"forwarded",
        b"x-real-ip", b"x-request-id", b"x-gslb-hop",
    )
    + rb"|x[-_]forwarded[-_][a-z0-9_-]*"
)  # fmt: skip
_ORDINARY, _ORDINARY_CAREFUL = ordinary_field(REQUEST_SPECIAL, b"cefhkptux")
_HOST_VALUE = rb"[A-Za-z0-9._~-]{1,255}+(?::[0-9]{0,5}+)?"
KEEP_ALIVE = rb"[Cc]onnection: ?[Kk]eep-[Aa]live\r\n"  # the one Connection field that is what we would say ourselves

# Most requests, in one pass: those that may be forwarded as they came, with our own lines after theirs. The groups are
# method, target, host, Content-Length. All others are looked at by `parse_request`, and so are heads of more than
# PLAIN_HEAD_BYTES_MAX: limits are not this expression's.
PLAIN_REQUEST = re.compile(
    rb"((?!TRACE |CONNECT )[A-Z][A-Z_-]{0,31}+) (/" + _TARGET + rb") HTTP/1\.1\r\n"
    rb"(?:" + b"|".join((_ORDINARY, KEEP_ALIVE, _ORDINARY_CAREFUL)) + rb"){0,31}"
    rb"[Hh][Oo][Ss][Tt]: ?(" + _HOST_VALUE + rb")\r\n"
    rb"(?:" + b"|".join(
        (_ORDINARY, KEEP_ALIVE, rb"[Cc]ontent-[Ll]ength:(?(4)(?!)) ?([0-9]{1,15})\r\n", _ORDINARY_CAREFUL)
    ) + rb"){0,96}\r\n"
).match  # fmt: skip
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (\S++) HTTP/(\d)\.(\d)").fullmatch
_ANY_TARGET = re.compile(_TARGET).fullmatch
_ABSOLUTE = re.compile(rb"(?i:(https?))://([^/?]*)(.*)").fullmatch
HOST = re.compile(_HOST_VALUE + rb"|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{0,5})?").fullmatch
_METHOD = re.compile(rb"[A-Z][A-Z_-]{0,31}").fullmatch
_FIELD_LINES = re.compile(FIELD + b"*").fullmatch
_FIELD_LINE = re.compile(FIELD).fullmatch
_TOKENS = re.compile(rb"[ \t]*(?:" + TOKEN + rb")?[ \t]*(?:,[ \t]*(?:" + TOKEN + rb")?[ \t]*)*").fullmatch
_NO_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?![\n]|\Z)").search

ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# Fields that frame a message or route it: their underscore twins, which CGI-like servers read as the same, are
# refused; so is a Connection header that names them.
_CRITICAL = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"connection"})
_CONNECTION_ONLY = frozenset({b"close", b"keep-alive", b"te", b"upgrade", b"proxy-connection"})


class Field(NamedTuple):
    """One special field line: lower-case `name`, `value` as it came, and where its line starts and ends."""

    name: bytes
    value: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A valid request head.

    `target` is what to forward: origin-form, or `*`. `host` is the authority in lower case, `host[:port]` (from an
    absolute-form target if there was one; b"" only with HTTP/1.0). `length` is the body's, or CHUNKED. `options` are
    the further fields that Connection names. `end` is where the body starts.
    """

    method: bytes
    target: bytes
    minor: int
    host: bytes
    length: int
    close: bool
    continues: bool  # Expect: 100-continue
    upgrade: bytes  # lower case, b"" unless asked for by the book
    trailers: bool  # TE: trailers
    absolute: bool
    options: frozenset[bytes]
    specials: tuple[Field, ...]
    end: int


# In a lower-cased head. The literal newline lets the search skip from line to line with memchr.
_REQUEST_SPECIAL_LINE = re.compile(rb"\n(" + REQUEST_SPECIAL + rb"):[ \t]*([^\r]*)")


def bad(reason: str, message: str, status: int = 400) -> HttpError:
    """The error for a client that broke HTTP."""
    return HttpError(message, blame="client", status=status, reason=reason)


def request_specials(head: bytes) -> tuple[Field, ...]:
    """The special fields of a valid request head, in order."""
    return special_fields(_REQUEST_SPECIAL_LINE, head)


def special_fields(expression: re.Pattern[bytes], head: bytes) -> tuple[Field, ...]:
    """The special fields of a validated `head`, in order."""
    found = []
    for match in expression.finditer(head.lower()):
        value = head[match.start(2) : match.end(2)].rstrip(b" \t")
        found.append(Field(match[1], value, match.start() + 1, match.end() + 2))
    return tuple(found)


def parse_length(value: bytes) -> int | None:
    """A Content-Length (RFC 9110 §8.6: digits only), or None if it is none."""
    return int(value) if value.isdigit() and len(value) <= LENGTH_DIGITS_MAX else None


def is_target(target: bytes) -> bool:
    """Whether these bytes may stand as a request's target: no space, no fragment, no control or broken escape."""
    return _ANY_TARGET(target) is not None


def connection_options(value: bytes) -> frozenset[bytes] | None:
    """The options that one Connection value lists, in lower case; None if it is malformed."""
    if _TOKENS(value) is None:
        return None
    return frozenset(option.strip(b" \t").lower() for option in value.split(b",")) - {b""}


# ---------------------------------------------------------------- requests
def parse_request(
    data: bytes, head_bytes_max: int = HEAD_BYTES_MAX, scanned: int = 0, scheme: bytes = b"http"
) -> RequestHead | None:
    """The request head at the start of `data`, or None while it is incomplete.

    `scanned`: how much of `data` an earlier call has seen. `scheme`: "https" on a connection with TLS. Raises
    HttpError with the status to answer; the connection must be closed after that answer (RFC 9112 §2.2, §11.2).
    """
    end = data.find(b"\r\n\r\n", max(0, scanned - 3)) + 4
    if end < 4:
        _check_partial(data, head_bytes_max, scanned)
        return None
    if end > head_bytes_max:
        _too_large(data)
    head = data[:end]
    line, _, rest = head.partition(b"\r\n")
    method, target, minor = _request_line(line)
    if _FIELD_LINES(rest, 0, len(rest) - 2) is None:
        _diagnose_fields(rest)
    if rest.count(b"\n") > FIELDS_MAX + 1:
        raise bad("too_many_fields", f"more than {FIELDS_MAX} header fields", 431)
    return _classify(method, target, minor, request_specials(head), end, scheme)


def _check_partial(data: bytes, head_bytes_max: int, scanned: int) -> None:
    """Refuses at once what can never become a head, so that it does not sit there until the timeout."""
    _check_bytes(data, max(0, scanned - 1))
    line_end = data.find(b"\r\n")
    if len(data) > head_bytes_max or (line_end < 0 and len(data) > TARGET_BYTES_MAX + 64):
        _too_large(data)


def _check_bytes(data: bytes, start: int = 0) -> None:
    """Refuses what may be nowhere in a head (RFC 9112 §2.2, RFC 9110 §5.5)."""
    if match := _NO_HEAD(data, start):
        if match[0] in (b"\r", b"\n"):
            raise bad("bare_line_end", "a bare CR or LF in the head")
        raise bad("control_byte", "a control byte in the head")


def _too_large(data: bytes) -> NoReturn:
    """414 when it is the request line that is too long, else 431 (RFC 9110 §15.5.15, RFC 6585 §5)."""
    if not 0 <= data.find(b"\r\n") <= TARGET_BYTES_MAX + 64:
        raise bad("target_too_long", "the request target is too long", 414)
    raise bad("head_too_large", "the request head is too large", 431)


def _request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """Method, target and minor version (RFC 9112 §3)."""
    _check_bytes(line)
    match = _REQUEST_LINE(line)
    if match is None:
        if line.count(b" ") > 2:
            raise bad("bad_target", "a space in the request target")
        raise bad("bad_request_line", "the request line is malformed")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise bad("bad_version", "only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
    if len(target) > TARGET_BYTES_MAX:
        raise bad("target_too_long", "the request target is too long", 414)
    if method in (b"TRACE", b"CONNECT"):
        raise bad("method_not_allowed", "TRACE and CONNECT are not allowed", 405)
    if _METHOD(method) is None:
        raise bad("unknown_method", "the method is not known", 501)
    if _ANY_TARGET(target) is None:
        raise bad("bad_target", "the request target has a fragment or a byte that is not allowed")
    return method, target, int(minor)


def _diagnose_fields(rest: bytes) -> NoReturn:
    """Says which rule (RFC 9112 §5) the first bad field line breaks."""
    for line in rest[:-2].split(b"\r\n"):
        if _FIELD_LINE(line + b"\r\n"):
            continue
        if line[:1] in (b" ", b"\t"):
            raise bad("obs_fold", "a folded or indented field line")
        name, colon, _ = line.partition(b":")
        if colon and name != name.rstrip(b" \t"):
            raise bad("space_before_colon", "whitespace between a field name and its colon")
        _check_bytes(line)
        raise bad("bad_field", "a field line without a valid name and a colon")
    raise bad("bad_field", "the field lines are malformed")


def _classify(
    method: bytes, target: bytes, minor: int, specials: tuple[Field, ...], end: int, scheme: bytes
) -> RequestHead:
    """What the special fields say, every one of them checked."""
    once: dict[bytes, bytes] = {}
    options: frozenset[bytes] = frozenset()
    trailers = False
    for name, value, _, _ in specials:
        if name in (b"host", b"content-length", b"transfer-encoding", b"expect"):
            if name in once:
                raise bad("doubled_field", f"more than one {name.decode()} field")
            once[name] = value
        elif name == b"connection":
            named = connection_options(value)
            if named is None or named & _CRITICAL:
                raise bad("bad_connection", "the Connection field is malformed or names a field it must not")
            options |= named
        elif name == b"te":
            trailers = trailers or b"trailers" in value.lower().replace(b" ", b"").split(b",")
        elif b"_" in name and name.replace(b"_", b"-") in _CRITICAL:
            raise bad("field_alias", "an underscore spelling of a framing field")
    host = _host(once.get(b"host"), minor)
    absolute = target[:1] != b"/"
    if absolute:
        target, host = _absolute(method, target, host, scheme)
    upgrade = b""
    if b"upgrade" in options and minor:
        upgrade = b",".join(field.value.lower() for field in specials if field.name == b"upgrade")
    return RequestHead(
        method=method,
        target=target,
        minor=minor,
        host=host,
        length=_request_length(once, minor),
        close=minor == 0 or b"close" in options,
        continues=_continues(once.get(b"expect"), minor),
        upgrade=upgrade,
        trailers=trailers,
        absolute=absolute,
        options=options - _CONNECTION_ONLY,
        specials=specials,
        end=end,
    )


def _host(value: bytes | None, minor: int) -> bytes:
    """The Host field (RFC 9112 §3.2)."""
    if value is None:
        if minor:
            raise bad("missing_host", "HTTP/1.1 asks for a Host field")
        return b""
    if HOST(value) is None:
        raise bad("bad_host", "the Host field is malformed")
    return value.lower()


def _absolute(method: bytes, target: bytes, host: bytes, scheme: bytes) -> tuple[bytes, bytes]:
    """The origin-form and the authority of a target that isn't origin-form (RFC 9112 §3.2.2, §3.2.4)."""
    if target == b"*" and method == b"OPTIONS":
        return target, host
    match = _ABSOLUTE(target)
    if match is None or HOST(match[2]) is None:
        raise bad("bad_target", "the request target is neither a path nor an http URL")
    if match[1].lower() != scheme:  # RFC 9110 §4.2.2: http and https name different resources
        what = "an http target on a connection with TLS" if scheme == b"https" else "an https target on one without TLS"
        raise bad("misdirected", what, 421)
    rest = match[3]
    if not rest and method == b"OPTIONS":
        return b"*", match[2].lower()
    return rest if rest[:1] == b"/" else b"/" + rest, match[2].lower()


def _request_length(once: dict[bytes, bytes], minor: int) -> int:
    """The body's length (RFC 9112 §6.3): none without Content-Length and Transfer-Encoding, never a guess."""
    coding, length = once.get(b"transfer-encoding"), once.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise bad("length_and_coding", "both Content-Length and Transfer-Encoding")
        if minor == 0:
            raise bad("coding_in_1_0", "Transfer-Encoding with HTTP/1.0")
        if coding.lower() != b"chunked":
            known = coding.lower().endswith(b"chunked") and _TOKENS(coding) is not None
            raise bad("unknown_coding", "the transfer coding is not chunked alone", 501 if known else 400)
        return CHUNKED
    if length is None:
        return 0
    parsed = parse_length(length)
    if parsed is None:
        raise bad("bad_length", "the Content-Length is malformed")
    return parsed


def _continues(value: bytes | None, minor: int) -> bool:
    """Whether the client waits for 100 Continue (RFC 9110 §10.1.1)."""
    if value is None or minor == 0:
        return False
    if value.lower() != b"100-continue":
        raise bad("bad_expect", "the expectation can't be met", 417)
    return True
