"""Prefix tables on disk, so that a node that starts again has them at once and builds them (seconds of CPU) only anew.

In `$CACHE_DIRECTORY` (as systemd sets it), else beside the node's state. Whatever can't be believed is not used: the
tables are built again. Only node/prefixing.py calls this.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import secrets
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gslb import __version__

FILES_MAX = 4
FILE_MAX_BYTES = 256 << 20
_DIGEST = 64  # hexadecimal digits
_OTHERS = 0o022  # may write

log = logging.getLogger("gslb.control")


class TableCache:
    """The files of one folder; several nodes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, stamp: str, keys: Iterable[Hashable]) -> Path:
        """Of the tables over a database file, for these chains, by this release."""
        made_of = repr((__version__, stamp, sorted(map(repr, keys))))
        return self._folder / f"tables-{hashlib.blake2b(made_of.encode(), digest_size=12).hexdigest()}"

    def load(self, stamp: str, keys: Iterable[Hashable]) -> Mapping[Hashable, Any] | None:
        """The tables, or None."""
        path = self._path(stamp, keys)
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_uid != os.geteuid() or stat.st_mode & _OTHERS or stat.st_size > FILE_MAX_BYTES:
                    log.warning("%s is not used: others could have written it", path)
                    return None
                data = file.read()
            digest, body = data[:_DIGEST], data[_DIGEST:]
            if hashlib.sha256(body).hexdigest().encode() != digest:
                log.warning("%s is broken; the tables are built again", path)
                return None
            tables: Mapping[Hashable, Any] = pickle.loads(body)
        except FileNotFoundError:
            return None
        except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, ValueError) as error:
            log.warning("%s can't be used (%s); the tables are built again", path, error)
            return None
        return tables

    def save(self, stamp: str, keys: Iterable[Hashable], pickled: bytes) -> None:
        """Keeps tables whole or not at all; of older ones, FILES_MAX stay."""
        path = self._path(stamp, keys)
        scratch = path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(hashlib.sha256(pickled).hexdigest().encode() + pickled)
            scratch.replace(path)
            files = sorted(self._folder.glob("tables-*"), key=lambda one: one.stat().st_mtime)
            for old in files[:-FILES_MAX]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.info("can't keep the prefix tables in %s: %s", self._folder, error.strerror)
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
