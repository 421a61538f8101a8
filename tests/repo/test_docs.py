"""The documents say what is so: commands exist, YAML is accepted, links lead somewhere.

Commands: every line that begins with `gslb` or `make` in a ```console, ```bash or ```sh block. YAML: a ```yaml block
whose first line is a comment naming a file under `regions/` is that file whole; any other block is a part of the
configuration, wherever it fits: from the top of a file, or below a service, a balancer, a pool, an edge. A block that
is not gslb's (Kubernetes, Prometheus) names its own file in its first comment, or the tool in ```yaml NAME.
"""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from gslb.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    {ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "gslb").rglob("*.md")}
    | {*(ROOT / "data").glob("*.md"), *(ROOT / "deploy").rglob("*.md")}
)
FENCE = re.compile(r"^```(\w*)[ ]?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAMPLE_REGION = "eu-west"
SAMPLE_SERVICE = "www.example.com"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else stands there, its text, and where it is."""

    language: str
    words: str
    text: str
    where: str

    def __str__(self) -> str:
        return self.where


def blocks(*languages: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            where = f"{page.relative_to(ROOT)}:{line}"
            found.append(Block(match[1], match[2], match[3], where))
    return [block for block in found if block.language in languages]


# ---------------------------------------------------------------- commands
def commands() -> Iterator[tuple[str, list[str]]]:
    """(where, words) of every `gslb` and `make` in the shell blocks, also behind `$`, sudo, a path, &&, | or ;."""
    for block in blocks("console", "bash", "sh"):
        prompted = "\n$ " in "\n" + block.text
        joined = block.text.replace("\\\n", " ")
        for line in joined.splitlines():
            if prompted and not line.startswith("$ "):
                continue  # what a command printed
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for part in split(words):
                yield block.where, part


def split(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in [*words, "&&"]:
        if word in {"&&", "||", "|", ";", "&"}:
            yield from wanted(part)
            part = []
        else:
            part.append(word.removesuffix(";"))


def wanted(part: list[str]) -> Iterator[list[str]]:
    while part and (part[0] in {"sudo", "nice"} or re.fullmatch(r"[A-Z_]+=.*", part[0])):
        part = part[1:]
    if part and Path(part[0]).name in {"gslb", "make"}:
        yield [Path(part[0]).name, *part[1:]]


def understood(words: list[str]) -> None:
    """Click takes these words; the command is not run."""
    command: click.Command = cli
    context = click.Context(cli, info_name="gslb")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        command, context, words = found, click.Context(found, parent=context, info_name=words[0]), words[1:]
    with contextlib.suppress(click.exceptions.Exit):  # --help and --version print and end
        command.make_context(context.info_name, list(words), parent=context.parent)


GSLB = sorted({(where, " ".join(words[1:])) for where, words in commands() if words[0] == "gslb"})
MAKE = sorted({(where, " ".join(words[1:])) for where, words in commands() if words[0] == "make"})


@pytest.mark.parametrize(("where", "line"), GSLB, ids=[f"{where} {line}" for where, line in GSLB])
def test_a_documented_command_exists(where: str, line: str) -> None:
    try:
        understood(shlex.split(line))
    except click.UsageError as error:
        pytest.fail(f"{where}: gslb {line}: {error.format_message()}")


@pytest.mark.parametrize(("where", "line"), MAKE, ids=[f"{where} {line}" for where, line in MAKE])
def test_a_documented_target_exists(where: str, line: str) -> None:
    targets = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for word in line.split() if "=" not in word and not word.startswith("-")}
    assert named <= targets, where


@pytest.mark.parametrize(
    "line",
    ["edgy", "edge --nam edge-1", "edge", "explain www.example.com", "geo lokup 1.2.3.4", "check extra", "dnssec x",
     "drill x --kind y"],
)
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises((click.UsageError, AssertionError)):
        understood(line.split())


def test_the_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    first = FENCE.search(text)
    assert first is not None
    assert first[3].split("\n")[:2] == ["make demo", "make test"]


# ---------------------------------------------------------------- configuration
def homes() -> list[tuple[str, tuple[str, ...]]]:
    """Where a part may belong: (file, the keys above it)."""
    region = f"{SAMPLE_REGION}.yaml"
    pools = tuple(plain(ROOT / "regions" / region)["balancer"]["pools"])
    return [
        ("gslb.yaml", ()),
        (region, ()),
        ("gslb.yaml", ("services", SAMPLE_SERVICE)),
        ("gslb.yaml", ("edge",)),
        (region, ("balancer",)),
        (region, ("balancer", "pools")),
        (region, ("balancer", "pools", pools[0])),
    ]


def plain(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text())


def merged(old: Any, new: Any) -> Any:
    """Mappings key by key; all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


def problems(folder: Path, file: str, content: str) -> list[str]:
    """What the loader says of the sample with this file in it."""
    from gslb.config.load import load
    from gslb.errors import ConfigError

    for name in ("regions", "data"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(ROOT / "regions", folder / "regions", ignore=shutil.ignore_patterns(".*"))
    (folder / "data").mkdir()
    (folder / "data/gslb-geo.mmdb").symlink_to(ROOT / "data/gslb-geo.mmdb")
    (folder / "regions" / file).write_text(content)
    try:
        load(folder / "regions", environment={})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def as_part(folder: Path, text: str) -> list[str]:
    """The problems of a part where it fits best: none if it fits anywhere."""
    part, best = YAML(typ="safe", pure=True).load(text), None
    for file, above in homes():
        nested = part
        for key in reversed(above):
            nested = {key: nested}
        whole = merged(plain(ROOT / "regions" / file), nested)
        found = problems(folder, file, json.dumps(whole, default=str))
        if not found:
            return []
        best = found if best is None or len(found) < len(best) else best
    return best or []


YAML_BLOCKS = [block for block in blocks("yaml") if not block.words]


def named_file(block: Block) -> str:
    """The file that the first comment names, if it does."""
    match = re.match(r"#\s*([\w./-]+\.ya?ml)\b", block.text)
    return match[1] if match else ""


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_documented_yaml_is_accepted(block: Block, tmp_path: Path) -> None:
    file = named_file(block)
    if not file:
        assert as_part(tmp_path, block.text) == []
    elif Path(file).parent.name == "regions":
        assert problems(tmp_path, Path(file).name, block.text) == []
    else:
        assert list(YAML(typ="safe", pure=True).load_all(block.text))


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("steering: [nearest]", True),
        ("steering: [nearst]", False),
        ("services:\n  www.example.com:\n    ttl: {min: 5s, max: 60s}", True),
        ("services:\n  www.example.com:\n    tll: {min: 5s, max: 60s}", False),
        ("workers: 2", True),
        ("algorithm: least_connections", True),
        ("algorithm: least_conections", False),
        ("capacity: 20000", True),
    ],
)
def test_a_wrong_part_would_be_noticed(text: str, accepted: bool, tmp_path: Path) -> None:
    assert (as_part(tmp_path, text) == []) is accepted


# ---------------------------------------------------------------- links
def links() -> list[tuple[Path, str]]:
    found = []
    for page in PAGES:
        prose = FENCE.sub("", page.read_text())
        prose = re.sub(r"`[^`\n]*`", "", prose)
        found += [(page, match[1]) for match in re.finditer(r"\[[^\]]*\]\(([^)\s]+)\)", prose)]
    return [(page, target) for page, target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("page", "target"), links(), ids=[f"{page.relative_to(ROOT)}→{target}" for page, target in links()]
)
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    there = (page.parent / name).resolve() if name else page
    assert there.exists()
    assert there.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(there)


def test_paths_in_the_prose_exist() -> None:
    """`tests/…`, `deploy/…`, `docs/…` and `.ci/…` in backticks, unless they hold a pattern or a placeholder."""
    named = {
        (page.relative_to(ROOT).as_posix(), match[1])
        for page in PAGES
        for match in re.finditer(r"`((?:tests|deploy|docs|\.ci|gslb)/[\w./-]+)`", page.read_text())
    }
    assert sorted((page, path) for page, path in named if not (ROOT / path).exists()) == []


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    linked = {(page.parent / target.partition("#")[0]).resolve() for page, target in links()}
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.resolve() not in linked] == []


def test_documents_are_finished() -> None:
    unfinished = [
        f"{page.relative_to(ROOT)}: {word}"
        for page in PAGES
        for word in re.findall(r"\b(?:PLACEHOLDER|TODO|TBD|FIXME)[\w-]*", page.read_text())
    ]
    assert unfinished == []


def test_generated_pages_are_tracked() -> None:
    listed = subprocess.run(["git", "ls-files", "docs"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    assert set(listed.stdout.split()) >= {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
