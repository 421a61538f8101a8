"""Which certificate for the name that a client asks for (SNI, RFC 6066 §3): exact, wildcard, or the first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Names(Generic[T]):
    """Certificates by the names in them. Of two that have a name the first is taken."""

    def __init__(self, certificates: Iterable[tuple[Iterable[str], T]]) -> None:
        """`certificates`: each with its names as they stand in it, in the order of the configuration."""
        self._by_name: dict[str, T] = {}
        self.default: T | None = None
        for names, certificate in certificates:
            if self.default is None:
                self.default = certificate
            for name in names:
                self._by_name.setdefault(name.lower().rstrip("."), certificate)

    def find(self, name: str | None) -> T | None:
        """The certificate for `name`; the default if nothing fits or nothing was asked for; None if there is none.

        A wildcard stands for one whole label, the first (RFC 6125 §6.4.3).
        """
        if not name or not self._by_name:
            return self.default
        name = name.lower().rstrip(".")
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name.get("*." + name.partition(".")[2], self.default)
        return found
