import sys

import pytest

from gslb.errors import UnknownName
from gslb.registry import Registry

PLUG_IN = """
from {package}_registry import REGISTRY


@REGISTRY.register("{name}")
class Plug:
    pass
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two plug-ins, and the registry they register with."""
    name = f"plugs_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (tmp_path / f"{name}_registry.py").write_text(
        f"from gslb.registry import Registry\n\nREGISTRY = Registry('plug', {name!r})\n"
    )
    for plug in ("zebra", "ant"):
        (folder / f"{plug}.py").write_text(PLUG_IN.format(package=name, name=plug))
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def registry(package):
    return __import__(f"{package}_registry").REGISTRY


def test_every_file_of_the_package_is_found_by_its_name(package):
    assert list(registry(package).known()) == ["ant", "zebra"]
    assert registry(package).get("zebra").name == "zebra"


def test_nothing_is_imported_before_it_is_asked_for(package):
    one = registry(package)
    assert f"{package}.ant" not in sys.modules
    one.known()
    assert f"{package}.ant" in sys.modules


def test_an_unknown_name_is_told_with_the_known_ones(package):
    with pytest.raises(UnknownName, match="unknown plug 'zebar'; did you mean 'zebra'\\? known: ant, zebra"):
        registry(package).get("zebar")


def test_what_is_known_is_a_copy(package):
    registry(package).known().clear()
    assert list(registry(package).known()) == ["ant", "zebra"]


def test_two_classes_of_one_name_are_a_mistake():
    one = Registry("plug", "none")
    one.register("ant")(type("First", (), {}))
    with pytest.raises(ValueError, match="two classes register the plug 'ant'"):
        one.register("ant")(type("Second", (), {}))
