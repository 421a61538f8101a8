"""Files -> Config. The shell of the configuration room: it reads a folder and tells every mistake it finds.

`load` is what commands and nodes call; nothing else here is for others. Work goes on past a mistake: what is wrong in
a file is taken out, and the rest is still checked against the other files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gslb.config.checks import check_all
from gslb.config.problems import mend, report
from gslb.config.reader import FILE_BYTES_MAX, Document, Table, read
from gslb.config.schema import MAIN_FILE, ClusterFile, Config, RegionFile
from gslb.config.source import KeyChecks, Source
from gslb.config.values import Section
from gslb.errors import ConfigError, Problem

FILES_MAX = 1000
SECRET_BYTES_MAX = 4096
MENDINGS_MAX = 20  # rounds of taking out what is wrong in a file

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Folder:
    """What validators may ask of the world: see values.Surroundings."""

    directory: Path
    environment: Mapping[str, str]

    def resolve(self, path: str) -> Path:
        """See Surroundings."""
        return Path(self.directory, path)

    def read_secret(self, path: Path) -> str:
        """See Surroundings."""
        return read_text(path, SECRET_BYTES_MAX)

    def variable(self, name: str) -> str | None:
        """See Surroundings."""
        return self.environment.get(name)


def read_text(path: Path, size_max: int) -> str:
    """A text file of at most `size_max` bytes. Raises ValueError that says what is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except OSError as error:
        raise ValueError(f"can't read {path}: {error.strerror}") from None
    if len(data) > size_max:
        raise ValueError(f"{path} is longer than {size_max} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None


def load(directory: Path, *, environment: Mapping[str, str], keys: KeyChecks | None = None) -> Config:
    """The configuration in a folder: `gslb.yaml`, and one `*.yaml` per region.

    Args:
        directory: the folder; paths in the files start there.
        environment: for `{env: NAME}` secrets.
        keys: whose certificates and keys are read and tried; None is nobody's.

    Raises ConfigError with every Problem found, in file order.
    """
    read_files = _documents(directory)
    folder = Folder(directory.absolute(), environment)
    main = _validated(read_files.pop(MAIN_FILE), ClusterFile, folder)
    regions = [_validated(document, RegionFile, folder) for document in read_files.values()]
    config = check_all(main, regions)
    if keys is not None and _has_tls(main, regions):
        from gslb.config.check_keys import check_keys  # noqa: PLC0415 - loads 17 MB that others do not need

        check_keys(main, regions, keys)
    documents = [main.document, *(source.document for source in regions)]
    problems = [problem for document in documents for problem in document.problems]
    if problems or config is None:
        first = main.document.file
        raise ConfigError(sorted(problems, key=lambda one: (one.file != first, one.file, one.line)))
    return config


def _has_tls(main: Source[ClusterFile], regions: Sequence[Source[RegionFile]]) -> bool:
    """Whether anything of these files speaks TLS."""
    balancers = [source.model.balancer for source in regions if source.model is not None]
    listens = [one for balancer in balancers for one in balancer.listen]
    if main.model is not None:
        listens += [one for edge in (main.model.edge, *main.model.edges.values()) for one in edge.frontdoor.listen]
    pools = [pool for balancer in balancers for pool in balancer.pools.values()]
    return any(one.tls is not None for one in listens) or any(pool.tls is not None for pool in pools)


def _documents(directory: Path) -> dict[str, Document]:
    """Every `*.yaml` of the folder by file name, the shared one among them. Raises ConfigError."""
    try:
        names = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ConfigError([Problem(str(directory), 0, "", f"can't read the folder: {error.strerror}",
                                   "name the folder of gslb.yaml by --config")]) from None
    files = [name for name in names if name.endswith(".yaml")]
    if MAIN_FILE not in files:
        what = "there is no gslb.yaml here" if names else "the folder is empty"
        raise ConfigError([Problem(str(directory), 0, "", what, "name the folder of gslb.yaml by --config")])
    if len(files) > FILES_MAX:
        raise ConfigError([Problem(str(directory), 0, "", f"more than {FILES_MAX} files", "one file is one region")])
    documents = {name: _document(directory / name) for name in files}
    for name in names:
        if name.endswith(".yml"):
            documents[MAIN_FILE].problems.append(
                Problem(str(directory / name), 0, "", "this file would not be read", "name it .yaml")
            )
    return documents


def _document(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            return read(str(path), file.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        document = Document(str(path), Table(1))
        document.add(0, f"can't read the file: {error.strerror}", "make it readable, or remove it")
        return document


def _validated(document: Document, model: type[S], folder: Folder) -> Source[S]:
    """What the model makes of a file; its errors go to the document, and what is wrong is taken out of the tree."""
    tree = document.tree
    region, balancer, zones = tree.get("region"), tree.get("balancer"), tree.get("zones")
    pools = balancer.get("pools") if isinstance(balancer, Table) else None
    limits = balancer.get("limits") if isinstance(balancer, Table) else None
    source: Source[S] = Source(
        document,
        None,
        region if isinstance(region, str) else "",
        frozenset(pools) if isinstance(pools, Table) else frozenset(),
        frozenset(zones) if isinstance(zones, Table) else frozenset(),
        frozenset(limits) if isinstance(limits, Table) else frozenset(),
    )
    if document.problems and not tree:
        return source  # it could not be read: that nothing is in it is no second mistake
    for round_ in range(MENDINGS_MAX):
        try:
            source.model = model.model_validate_json(json.dumps(tree), context=folder)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            if not round_:
                report(document, model, errors)
            mended = mend(document, errors)
            if model is ClusterFile and "cluster" not in tree:
                tree.put("cluster", "unnamed", 1)
            elif not mended:
                break
        else:
            break
    return source
