"""One registry for everything that is "one file, one name": policies, algorithms, checks, stores.

A module in the registry's package decorates its class with `@REGISTRY.register("name")`. The registry imports every
module of that package on first use, so adding one touches no other file. Pure but for those imports.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from gslb.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to classes of one kind, filled by the modules of one package."""

    def __init__(self, kind: str, package: str) -> None:
        """`kind` is the word used in errors ("policy"); `package` the dotted name whose modules register."""
        self.kind = kind
        self._package = package
        self._classes: dict[str, type[T]] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: makes the class known as `name` and sets its `name` attribute."""

        def add(cls: type[T]) -> type[T]:
            if name in self._classes:
                raise ValueError(f"two classes register the {self.kind} {name!r}")
            cls.name = name  # type: ignore[attr-defined]  # the protocols declare it as a ClassVar
            self._classes[name] = cls
            return cls

        return add

    def known(self) -> Mapping[str, type[T]]:
        """Every registered class by name, in alphabetical order."""
        if not self._loaded:
            package = importlib.import_module(self._package)
            for module in sorted(item.name for item in pkgutil.iter_modules(package.__path__)):
                importlib.import_module(f"{self._package}.{module}")
            self._loaded = True
        return dict(sorted(self._classes.items()))

    def get(self, name: str) -> type[T]:
        """The class called `name`. Raises UnknownName, which lists the known ones."""
        known = self.known()
        if name not in known:
            raise UnknownName(self.kind, name, known)
        return known[name]
