"""Structured logs to standard error: one line a record, as text for people or as JSON for programs.

A message says what happened; facts go into `extra` and come out as `key="value"` or as JSON members:

    12:00:01 WARNING control region eu-west is down why="3 of 3 views: down"

The parent configures it before it forks. Nothing on a data worker's hot path logs.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime

FORMATS = ("text", "json")
VALUE_MAX_CHARACTERS = 8192
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_BARE = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # what could forge or break a line


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _line(text: str) -> str:
    """`text` on one line and not without end."""
    if len(text) > VALUE_MAX_CHARACTERS:
        text = text[:VALUE_MAX_CHARACTERS] + "…"
    return _CONTROL.sub(lambda match: json.dumps(match[0])[1:-1], text)


class TextFormatter(logging.Formatter):
    """`12:00:01 WARNING control message key="value"`, times in UTC; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        at = datetime.fromtimestamp(record.created, UTC)
        parts = [f"{at:%H:%M:%S}", record.levelname, record.name.removeprefix("gslb."), _line(record.getMessage())]
        for key, value in _extra(record).items():
            text = _line(str(value))
            parts.append(f"{key}={text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)}")
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts (UTC, ISO 8601), level, logger, node, pid, msg, and the record's extra."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON; an extra that would hide one of ours gets a `_`."""
        found: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "node": self._node,
            "pid": record.process,
            "msg": _line(record.getMessage()),
        }
        for key, value in _extra(record).items():
            number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))  # JSON has no NaN
            found[f"{key}_" if key in found else key] = value if number or value is None else _line(str(value))
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the type stubs only
    """Ours, so that configuring again replaces it and nobody else's."""


def configure(style: str, level: str, node: str) -> None:
    """Logs to standard error from now on.

    `style` is one of FORMATS, `level` a name as "info", `node` what the lines say of whose they are. Other libraries
    are heard from WARNING up. Raises ValueError for an unknown style or level.
    """
    if style not in FORMATS:
        raise ValueError(f"unknown log format {style!r}; known: {', '.join(FORMATS)}")
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter(node) if style == "json" else TextFormatter())
    logging.getLogger("gslb").setLevel(level.upper())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a log that can't be written must not write about it
