"""The state directory: one locked folder a node, with what it must remember across a restart.

The lock is inherited by every process that the node forks and ends with the last of them. The parent opens it;
control reads and writes. What is broken is set aside and said, never a reason not to start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from gslb.errors import StateError, StateLocked
from gslb.state.store import NUMBER_MAX

FILE_MAX_BYTES = 16 << 20
FORMAT = 1
SECRET_BYTES = 32
Part = Literal["scaling", "discovered", "overrides", "alerts"]
_NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
_SECRET = re.compile(rf"[0-9a-f]{{{2 * SECRET_BYTES}}}", re.ASCII)
_HEADER = re.compile(rb"gslb-state (\d{1,6}) ([0-9a-f]{64})\n")

log = logging.getLogger("gslb.state")


class StateDirectory:
    """`<path>/<node>`, mode 0700, locked while this object lives."""

    def __init__(self, path: Path | str, node: str, lock_of: Callable[[Path], int | None] = lambda _: None) -> None:
        """Makes and locks the folder. Raises StateLocked, which names the holder, or StateError.

        `lock_of`: a descriptor of this folder's lock that this process was given, or None.
        """
        if not _NODE.fullmatch(node):
            raise StateError(f"{node!r} can't name a state directory: use letters, digits, '.', '-' and '_'")
        self.path = Path(path) / node
        self._incarnation = 0
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            given = lock_of(self.path)
            wanted = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self.lock = os.open(self.path / "lock", wanted, 0o600) if given is None else given
        except OSError as error:
            raise StateError(f"can't use the state directory {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self.lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self.lock)
            raise StateLocked(
                f"the state directory {self.path} is in use by process {holder}: is {node} running already?"
            ) from error
        if given is not None:
            return  # its holder's number is there
        with contextlib.suppress(OSError):  # a full disk: the lock itself holds
            os.ftruncate(self.lock, 0)
            os.pwrite(self.lock, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Gives up the lock; only where no other process of the node lives."""
        os.close(self.lock)

    # ------------------------------------------------------------ incarnation
    def raise_incarnation(self, at_least: int = 0) -> int:
        """A number greater than every one before and than `at_least`, on disk before it is used.

        A new or lost directory begins at the Unix time: peers remember what a node of this name said long after the
        store has forgotten it. If it can't be written it still rises in this process, and next time by the store.
        """
        stored = self._load("incarnation")
        known = stored.get("incarnation") if stored is not None else None
        if type(known) is not int or not 0 <= known < NUMBER_MAX:
            known = int(time.time())
        self._incarnation = max(known, at_least, self._incarnation) + 1
        try:
            self._save("incarnation", {"incarnation": self._incarnation})
        except StateError as error:
            log.warning("can't keep the incarnation", extra={"why": str(error)})
        return self._incarnation

    # ------------------------------------------------------------ last known good
    def save_last_good(self, state: Mapping[str, Any]) -> None:
        """Keeps `state` (JSON) in place of what was there. Raises StateError; then the old one is still there."""
        self._save("last-good", state)

    def load_last_good(self) -> dict[str, Any] | None:
        """What was last saved whole; None if there is none, or none that can be believed."""
        return self._load("last-good")

    # ------------------------------------------------------------ what parts of control go on with
    def keep(self, part: Part, state: Mapping[str, Any]) -> None:
        """Keeps a part's state in place of what was there. Raises StateError; then the old one is still there."""
        self._save(part, state)

    def kept(self, part: Part) -> dict[str, Any]:
        """What a part has kept; {} if there is none that can be believed."""
        return self._load(part) or {}

    # ------------------------------------------------------------ session secret
    def session_secret(self) -> bytes:
        """What signs session cookies where no `secrets.cookie` is given: made up once, so that a restart keeps them."""
        stored = self._load("session-secret")
        text = stored.get("secret") if stored is not None else None
        if isinstance(text, str) and _SECRET.fullmatch(text):
            return bytes.fromhex(text)
        secret = secrets.token_bytes(SECRET_BYTES)
        try:
            self._save("session-secret", {"secret": secret.hex()})
        except StateError as error:
            log.warning("can't keep the session secret; a restart ends sessions", extra={"why": str(error)})
        return secret

    # ------------------------------------------------------------ files
    def _save(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a file so that after any crash there is the old one or the new one, whole."""
        try:
            body = json.dumps(dict(value), allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise StateError(f"{name} is not JSON: {error}") from error
        data = b"gslb-state %d %s\n%s" % (FORMAT, hashlib.sha256(body).hexdigest().encode(), body)
        if len(data) > FILE_MAX_BYTES:
            raise StateError(f"{name} is over the bound of {FILE_MAX_BYTES} bytes")
        scratch = self.path / f".{name}.new"
        try:
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path / name)
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            raise StateError(f"can't write {self.path / name}: {error.strerror}") from error

    def _load(self, name: str) -> dict[str, Any] | None:
        """A file's value; None if it is missing, or broken and therefore set aside."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                data = file.read(FILE_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("can't read %s", path, extra={"why": error.strerror})
            return None
        try:
            return _parsed(data)
        except (ValueError, RecursionError) as error:
            log.warning("%s is broken; it is set aside as %s.broken", path, name, extra={"why": str(error)})
            with contextlib.suppress(OSError):
                path.replace(self.path / f"{name}.broken")
            return None


def _parsed(data: bytes) -> dict[str, Any]:
    """The value in a file's bytes. Raises ValueError (or RecursionError) that says what is wrong."""
    header = _HEADER.match(data)
    if header is None or len(data) > FILE_MAX_BYTES:
        raise ValueError("not a file of ours")
    if int(header[1]) != FORMAT:
        raise ValueError(f"format {int(header[1])}, this release knows {FORMAT}")
    body = data[header.end() :]
    if hashlib.sha256(body).hexdigest().encode() != header[2]:
        raise ValueError("the checksum does not match")
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for all that a file can hold
    return value
