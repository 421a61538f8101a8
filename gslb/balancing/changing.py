"""What a change makes of a server's row, or why it can't be made. Core; control keeps the outcome.

Words that are not given stay as they were; a word given as None goes back to what the files say. Every function raises
ChangeRefused, with the status to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gslb.balancing.merging import CHANGEABLE, Key, Rows, declared
from gslb.errors import ChangeRefused
from gslb.model import Pool, Registration

ROWS_MAX = 10_000  # of one node's registry


def registered(
    pools: Mapping[str, Pool], rows: Rows, key: Key, host: str, port: int, words: Mapping[str, Any], now: float
) -> Registration | None:
    """The row of a server that registers, anew or again: the same words again change nothing. None as in `changed`.

    Args:
        pools: as the files declare them.
        rows: all rows so far.
        key: pool and server id.
        host: where it is.
        port: its port.
        words: what else is said, keys of CHANGEABLE.
        now: Unix seconds.
    """
    if key[0] not in pools:
        raise ChangeRefused(f"there is no pool {key[0]!r}; known: {', '.join(pools)}", 400, "pool")
    server = declared(pools, key)
    if server is not None and (server.host, server.port) != (host, port):
        where = f"{key[1]} is declared in the files, or found by DNS, at {server.host} port {server.port}"
        raise ChangeRefused(f"{where}: change it there, or register under another server_id", 409, "host")
    if server is not None:
        return changed(pools, rows, key, words, now)
    row = _row(rows, key)
    return _stamped(rows.get(key), _with(replace(row, host=host, port=port), words), now)


def changed(
    pools: Mapping[str, Pool], rows: Rows, key: Key, words: Mapping[str, Any], now: float
) -> Registration | None:
    """The row of a server after a change; None if it then says nothing beyond the files."""
    server = declared(pools, key)
    if server is None and key not in rows:
        raise _unknown(key)
    new = _with(_row(rows, key), words)
    if server is not None and new.host is None and all(getattr(new, word) is None for word in CHANGEABLE):
        return None
    return _stamped(rows.get(key), new, now)


def removed(pools: Mapping[str, Pool], rows: Rows, key: Key) -> Registration:
    """The row that goes when a server is removed. A declared server is removed in the files only."""
    row = rows.get(key)
    if declared(pools, key) is not None:
        remedy = "remove it there and reload; until then: status INACTIVE, or drain"
        raise ChangeRefused(f"{key[1]} is declared in the files, or found by DNS: {remedy}", 409)
    if row is None:
        raise _unknown(key)
    return row


def _unknown(key: Key) -> ChangeRefused:
    return ChangeRefused(f"there is no server {key[1]!r} in pool {key[0]!r}", 404)


def _row(rows: Rows, key: Key) -> Registration:
    """The row as it is, or a new one if there is room."""
    if key not in rows and len(rows) >= ROWS_MAX:
        raise ChangeRefused(f"the registry is full: {ROWS_MAX} servers; remove some first", 409)
    return rows.get(key) or Registration(*key)


def _with(row: Registration, words: Mapping[str, Any]) -> Registration:
    return replace(row, **{word: words[word] for word in CHANGEABLE if word in words})


def _stamped(old: Registration | None, new: Registration, now: float) -> Registration:
    """`new` with its times; the very `old` one if nothing else differs."""
    if old is None:
        return replace(new, created_at=now, updated_at=now)
    return old if new == old else replace(new, updated_at=now)
