"""Control's watch over certificates: reads what the Plan names, looks for changed files, keeps what still works.

A pair that can't be used (half written, a key of another certificate, expired where the one before is not) is told by
log, metric and status, and changes nothing: the one before serves on. Workers read no file; they get `keys`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gslb.errors import TlsError
from gslb.model import KeyPair, Plan
from gslb.tls.material import Keys, Material

EXPIRES_SOON_S = 14 * 86_400.0
TELL_EVERY_S = 86_400.0

_Stamp = tuple[tuple[int, int, int] | None, ...]

log = logging.getLogger("gslb.control")


class Certificates:
    """The certificates, keys and authorities of one node."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.problems: dict[KeyPair | str, str] = {}  # by pair, or by an authorities' file
        self._users: dict[KeyPair, list[str]] = {}  # who shows it: listeners' addresses, pools
        self._authorities: set[str] = set()
        self._stamps: dict[KeyPair | str, _Stamp] = {}
        self._told: dict[KeyPair, float] = {}  # of those that end soon, in Unix seconds

    def configure(self, plan: Plan) -> bool:
        """Reads what `plan` names; whether anything differs from before."""
        self._users, self._authorities = {}, set()
        for listener in plan.listeners:
            if listener.tls is not None:
                for pair in listener.tls.pairs:
                    self._users.setdefault(pair, []).append(listener.address)
                self._authorities |= {listener.tls.client_ca} - {""}
        for pool in plan.balancer.pools.values() if plan.balancer is not None else ():
            if pool.tls is not None:
                if pool.tls.pair is not None:
                    self._users.setdefault(pool.tls.pair, []).append(f"pool {pool.name}")
                self._authorities |= {pool.tls.ca} - {""}
        wanted: set[KeyPair | str] = {*self._users, *self._authorities}
        self._stamps = {key: stamp for key, stamp in self._stamps.items() if key in wanted}
        self.problems = {key: words for key, words in self.problems.items() if key in wanted}
        return self.look()

    def look(self) -> bool:
        """Reads files that have changed; whether `keys` are others now."""
        if not self._users and not self._authorities and self.keys == Keys():
            return False
        from gslb.tls.reading import read_authorities, read_pair  # noqa: PLC0415 - 17 MB that others do not need

        pairs = {pair: known for pair, known in self.keys.pairs.items() if pair in self._users}
        authorities = {path: pem for path, pem in self.keys.authorities.items() if path in self._authorities}
        now = time.time()
        for pair in self._users:
            if self._moved(pair, (pair.certificate, pair.key, pair.passphrase_file)):
                try:
                    pairs[pair] = _newer(read_pair(pair), pairs.get(pair), pair, now)
                except TlsError as error:
                    self._refuse(pair, error, known=pair in pairs)
                else:
                    self._accept(pair)
        for path in self._authorities:
            if self._moved(path, (path,)):
                try:
                    authorities[path] = read_authorities(path)
                except TlsError as error:
                    self._refuse(path, error, known=path in authorities)
                else:
                    self._accept(path)
        self._tell_soon(pairs, now)
        if pairs == self.keys.pairs and authorities == self.keys.authorities:
            return False
        self.keys = Keys(pairs, authorities)
        return True

    def _moved(self, key: KeyPair | str, paths: tuple[str, ...]) -> bool:
        stamp = tuple(_look(path) for path in paths)
        if self._stamps.get(key) == stamp:
            return False
        self._stamps[key] = stamp
        return True

    def _accept(self, key: KeyPair | str) -> None:
        if self.problems.pop(key, None) is not None or key in self.keys.pairs or key in self.keys.authorities:
            log.info("%s is read anew", key if isinstance(key, str) else key.certificate)

    def _refuse(self, key: KeyPair | str, error: TlsError, *, known: bool) -> None:
        self.problems[key] = f"{error} ({error.remedy})"
        log.error("%s; %s", self.problems[key], "the one before is served on" if known else "there is none to serve")

    def _tell_soon(self, pairs: dict[KeyPair, Material], now: float) -> None:
        """Once a day: what ends within two weeks, or has."""
        for pair, material in pairs.items():
            left_s = material.facts.expires - now
            if left_s < EXPIRES_SOON_S and now - self._told.get(pair, 0.0) >= TELL_EVERY_S:
                self._told[pair] = now
                log.warning("the certificate %s %s: renew it", pair.certificate, _when(left_s))

    # ------------------------------------------------------------ for people and metrics
    def expiries(self) -> Iterator[tuple[str, str, float]]:
        """Who shows a certificate, its first name, and when it ends in Unix seconds."""
        for pair, users in self._users.items():
            material = self.keys.pairs.get(pair)
            if material is not None:
                for user in users:
                    yield user, name_of(pair, material), material.facts.expires

    def describe(self) -> list[dict[str, Any]]:
        """For `/status`."""
        now = time.time()
        rows = []
        for pair, users in self._users.items():
            material = self.keys.pairs.get(pair)
            left_s = material.facts.expires - now if material is not None else None
            warning = f"{_when(left_s)}: renew it" if left_s is not None and left_s < EXPIRES_SOON_S else ""
            rows.append(
                {
                    "certificate": pair.certificate,
                    "used_by": users,
                    "names": list(material.facts.names) if material is not None else [],
                    "expires_in_s": round(left_s) if left_s is not None else None,
                    "problem": self.problems.get(pair, "") or warning,
                }
            )
        bad = [path for path in self._authorities if path in self.problems]
        return [*rows, *({"authorities": path, "problem": self.problems[path]} for path in sorted(bad))]


def name_of(pair: KeyPair, material: Material) -> str:
    """What a certificate is called in metrics: the first name in it, or its file's."""
    return material.facts.names[0] if material.facts.names else Path(pair.certificate).name


def _newer(new: Material, old: Material | None, pair: KeyPair, now: float) -> Material:
    """`new`, unless it has expired and what is served has not. Raises TlsError."""
    from gslb.tls.certificates import expired  # noqa: PLC0415 - read_pair has loaded it

    late = expired(new.facts, now)
    if late is not None and old is not None and expired(old.facts, now) is None:
        raise TlsError(f"{pair.certificate} {late}", late.remedy)
    return new


def _when(left_s: float) -> str:
    days = int(left_s // 86_400)
    return f"expires in {days} days" if left_s > 0 else "has expired"


def _look(path: str) -> tuple[int, int, int] | None:
    """What changes when the file does; None while there is none."""
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
