"""What linters can't say about this repository: sizes, words, names, mirrors (after TigerBeetle's tidy)."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
PLUGINS = {  # package -> the word of its docs; one file is one name is one heading
    "gslb/steering/policies": "policy",
    "gslb/balancing/algorithms": "algorithm",
    "gslb/health/checks": "check",
}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "gslb").rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))
PLUGIN_FILES = [m for m in MODULES if str(Path(m).parent) in PLUGINS and not m.endswith("__init__.py")]

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
ALL_ERRORS = {"Exception", "BaseException"}
# A forked child has nobody above it that could tell: it logs whatever ended it, and ends.
MAY_CATCH_ALL = {"gslb/node/parent.py": 1}
# `
UNEXPLAINED = re.compile(r"# noqa(?!: [A-Z]+\d+(, ?[A-Z]+\d+)* - \w)|# type: ignore(?!\[[\w, -]+\]  # \w)")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(work|root|home/\w+|Users|opt/(wheels|pypi\S*))/")
REGISTRY_HOST = re.compile(r"\b(pypi|pythonhosted|npmjs|debian)\.(org|com|io)\b", re.IGNORECASE)


def source(name: str) -> str:
    return (ROOT / name).read_text()


def dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def functions(name: str) -> list[Function]:
    return [node for node in ast.walk(ast.parse(source(name))) if isinstance(node, Function)]


def found(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    """`file:line: the line` for every match outside tests/repo/, whose patterns would match themselves."""
    return [
        f"{name}:{number}: {line.strip()}"
        for name in names
        if not name.startswith("tests/repo/")
        for number, line in enumerate(source(name).splitlines(), 1)
        if pattern.search(line)
    ]


def calls_itself_core(name: str) -> bool:
    """Whether the first line of a module's docstring ends with, or says in a sentence of its own: core, or pure."""
    return bool(re.search(r"\b(Core|Pure)\b", (ast.get_docstring(ast.parse(source(name))) or "").partition("\n")[0]))


def test_what_calls_itself_core_is_held_to_it() -> None:
    contracts = tomllib.loads(source("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    core = next(one["source_modules"] for one in contracts if one["name"] == "the core does no I/O")
    names = [dotted(name) for name in MODULES if calls_itself_core(name)]
    assert len(names) > 50
    assert [name for name in names if not any(f"{name}.".startswith(f"{one}.") for one in core)] == []


def tracked_text() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [name for name in names if b"\0" not in (ROOT / name).read_bytes()[:8192]]


# ---------------------------------------------------------------- sizes and words
@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_short_and_says_what_it_is_for(name: str) -> None:
    text = source(name)
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert text.count("\n") <= MODULE_LINES_MAX, "which two modules is it?"


def test_functions_are_short() -> None:
    long = [
        f"{name}:{node.lineno}: {node.name} has {size} lines"
        for name in MODULES
        for node in functions(name)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_nothing_is_unfinished() -> None:
    assert found(UNFINISHED, MODULES + TESTS) == []


def catches_all(node: ast.AST) -> bool:
    """`except Exception`, a bare `except`, or `suppress(Exception)`; not a clean-up that raises on."""
    match node:
        case ast.ExceptHandler(type=kind, body=[*_, last]):
            broad = kind is None or any(isinstance(one, ast.Name) and one.id in ALL_ERRORS for one in ast.walk(kind))
            return broad and not (isinstance(last, ast.Raise) and last.exc is None)
        case ast.Call(func=ast.Name("suppress") | ast.Attribute(attr="suppress"), args=kinds):
            return any(isinstance(one, ast.Name) and one.id in ALL_ERRORS for one in kinds)
    return False


def test_nothing_catches_everything() -> None:
    counts = {name: sum(map(catches_all, ast.walk(ast.parse(source(name))))) for name in MODULES}
    assert {name: count for name, count in counts.items() if count} == MAY_CATCH_ALL


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("try: f()\nexcept Exception as error: log(error)", True),
        ("try: f()\nexcept (OSError, Exception): pass", True),
        ("try: f()\nexcept: pass", True),
        ("with contextlib.suppress(Exception): f()", True),
        ("try: f()\nexcept BaseException:\n    undo()\n    raise", False),
        ("try: f()\nexcept OSError: pass", False),
    ],
)
def test_catching_everything_is_recognised(code: str, caught: bool) -> None:
    assert any(catches_all(node) for node in ast.walk(ast.parse(code))) is caught


def test_every_silenced_rule_says_which_and_why() -> None:
    assert found(UNEXPLAINED, MODULES + TESTS) == []


def test_tracked_files_name_no_machine_and_no_registry() -> None:
    names = tracked_text()
    assert found(MACHINE_PATH, names) == []
    assert found(REGISTRY_HOST, names) == []


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (UNEXPLAINED, "x = 1  # noqa", "x = 1  # noqa: S101 - why"),
        (UNEXPLAINED, "x = 1  # noqa: S101", "x = 1  # noqa: S101, E501 - why"),
        (UNEXPLAINED, "x = 1  # type: ignore", "x = 1  # type: ignore[attr-defined]  # why"),
        (UNEXPLAINED, "x = 1  # type: ignore[misc]", "x = 1"),
        (MACHINE_PATH, 'open("/root/x")', "https://example.com/root/x"),
        (REGISTRY_HOST, "https://registry.npm" + "js.org/x", "the npm registry"),
    ],
)
def test_the_patterns_match_what_they_are_for(pattern: re.Pattern[str], bad: str, good: str) -> None:
    assert pattern.search(bad)
    assert not pattern.search(good)


# ---------------------------------------------------------------- rooms
def test_nobody_imports_what_another_module_keeps_to_itself() -> None:
    private = [
        f"{name}:{node.lineno}: {alias.name}"
        for name in MODULES
        for node in ast.walk(ast.parse(source(name)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gslb")
        for alias in node.names
        if any(part.startswith("_") and not part.startswith("__") for part in (*node.module.split("."), alias.name))
    ]
    assert private == []


def core_modules() -> list[str]:
    """The modules under the import contract "the core does no I/O" that hold behaviour."""
    contracts = tomllib.loads(source("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    [core] = [contract["source_modules"] for contract in contracts if contract["name"] == "the core does no I/O"]
    inside = [name for name in MODULES if any(f"{dotted(name)}.".startswith(f"{one}.") for one in core)]
    return [name for name in inside if any(behaves(node) for node in functions(name))]


def behaves(node: Function) -> bool:
    """More than a docstring or `...`: a protocol's methods are no behaviour."""
    return any(not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)) for line in node.body)


@pytest.mark.parametrize("name", core_modules())
def test_a_core_module_has_a_unit_test_that_mirrors_it(name: str) -> None:
    path = Path(name)
    room = path.parts[1] if len(path.parts) > 2 else ""
    # a plug-in's tests may share a file with its siblings'
    wanted = {f"test_{path.stem}.py"} | ({f"test_{path.parent.name}.py"} if str(path.parent) in PLUGINS else set())
    mirrors = [file for file in (ROOT / "tests/unit" / room).rglob("test_*.py") if file.name in wanted]
    assert mirrors, f"no tests/unit/{room}/test_{path.stem}.py"
    named = dotted(name)
    package, _, module = named.rpartition(".")
    importing = re.compile(rf"(from|import) {re.escape(named)}\b|from {re.escape(package)} import .*\b{module}\b")
    assert any(importing.search(file.read_text()) for file in mirrors), f"{mirrors} do not import {named}"


def registered(name: str) -> list[str]:
    """The names that a file registers."""
    return [
        decorator.args[0].value
        for node in ast.walk(ast.parse(source(name)))
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "register"
        and isinstance(decorator.args[0], ast.Constant)
    ]


def headings() -> list[str]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [line for file in files if file.exists() for line in file.read_text().splitlines() if line.startswith("#")]


@pytest.mark.parametrize("name", PLUGIN_FILES)
def test_a_plug_in_is_one_file_with_one_name(name: str) -> None:
    assert registered(name) == [Path(name).stem]


@pytest.mark.parametrize("name", PLUGIN_FILES)
def test_a_plug_in_has_a_heading_in_the_docs(name: str) -> None:
    word = re.compile(rf"`{Path(name).stem}`")
    assert any(word.search(line) for line in headings()), f"no heading with `{Path(name).stem}` in README.md or docs/"


# ---------------------------------------------------------------- tests
def test_unit_tests_do_not_sleep() -> None:
    """But for a moment in a loop that polls."""
    sleeping = [
        f"{name}:{node.lineno}"
        for name in TESTS
        if name.startswith(("tests/unit/", "tests/contract/"))
        for node in outside_loops(ast.parse(source(name)))
        if isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node.value) == "time"
    ]
    assert sleeping == []


def outside_loops(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.While | ast.For | ast.AsyncFor):
            yield child
            yield from outside_loops(child)


def test_every_test_can_fail() -> None:
    """It asserts, expects an exception, or calls something that does, here or named for it elsewhere."""
    idle = []
    for name in TESTS:
        helpers = {node.name: node for node in functions(name)}
        tests = [node for node in helpers.values() if node.name.startswith("test_")]
        idle += [f"{name}:{node.lineno}: {node.name}" for node in tests if not judges(node, helpers)]
    assert idle == []


JUDGING = re.compile(r"_?(assert|check|expect|until|stays|wait|timeout|raises|warns|fail)")


def judges(node: Function, helpers: dict[str, Function]) -> bool:
    used = {one.id if isinstance(one, ast.Name) else one.attr for one in ast.walk(node) if isinstance(one, NAMES)}
    if any(isinstance(one, ast.Assert) or checks(one) for one in ast.walk(node)) or any(map(JUDGING.match, used)):
        return True
    others = {name: helper for name, helper in helpers.items() if helper is not node}
    return any(judges(others[name], others) for name in used & others.keys())


def checks(node: ast.AST) -> bool:
    """`check=True`: a program that fails raises. `suppress(X)` and `except X`: nothing but X may come out."""
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node).endswith("suppress")
    checked = isinstance(node, ast.keyword) and node.arg == "check" and ast.unparse(node.value) == "True"
    return checked or isinstance(node, ast.ExceptHandler)


NAMES = ast.Name | ast.Attribute
