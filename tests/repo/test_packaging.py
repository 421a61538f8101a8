"""What travels in a wheel, and whether it can do without the checkout it was made in."""

import email
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built with the tools of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder), str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(unpacked: Path, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with the unpacked wheel and the dependencies, but without the checkout's own `gslb`."""
    packages = sysconfig.get_path("purelib")
    # -S leaves out the .pth file of an editable install; the path lists what is left by hand
    start = f"import sys; sys.path[:0] = [{str(unpacked)!r}]; sys.path.append({packages!r}); "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + words[0], *words[1:]],
        cwd=where, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def tracked(folder: str) -> list[str]:
    """The files of `folder` that git knows and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.mark.slow
def test_samples_data_and_licences_travel(unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    shipped = unpacked / "gslb/_shipped"
    for folder in ("regions", "data"):
        for name in tracked(folder):
            assert (shipped / name).read_bytes() == (ROOT / name).read_bytes()
    assert {"gslb/_shipped/regions/gslb.yaml", "gslb/_shipped/data/gslb-geo.mmdb"} <= names
    licences = {name for name in names if ".dist-info/licenses/" in name}
    assert {Path(name).name for name in licences} >= {"LICENSE", "LICENSE-DB-IP.txt"}
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.slow
def test_every_module_and_data_file_of_the_package_travels(unpacked: Path) -> None:
    assert [name for name in tracked("gslb") if not (unpacked / name).exists()] == []


@pytest.mark.slow
def test_the_wheel_finds_its_own_samples_from_any_folder(unpacked: Path, tmp_path: Path) -> None:
    done = python(
        unpacked,
        tmp_path,
        "from gslb.shipped import geo_database, regions_directory\nprint(regions_directory())\nprint(geo_database())",
    )
    assert done.returncode == 0, done.stderr
    regions, database = map(Path, done.stdout.split())
    assert regions == unpacked / "gslb/_shipped/regions"
    assert database == unpacked / "gslb/_shipped/data/gslb-geo.mmdb"
    assert (regions / "../data/gslb-geo.mmdb").resolve() == database.resolve()  # as regions/gslb.yaml names it


@pytest.mark.slow
def test_the_shipped_sample_has_no_mistake(unpacked: Path, tmp_path: Path) -> None:
    done = python(unpacked, tmp_path, "import sys; sys.argv[1:] = ['check']; from gslb.cli import main; main()")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_metadata_names_licence_python_and_command(unpacked: Path) -> None:
    [information] = unpacked.glob("gslb-*.dist-info")
    metadata = email.message_from_string((information / "METADATA").read_text())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "gslb = gslb.cli:main" in (information / "entry_points.txt").read_text()


def test_in_a_checkout_the_samples_are_the_top_level_folders() -> None:
    from gslb.shipped import geo_database, regions_directory

    assert regions_directory() == ROOT / "regions"
    assert geo_database() == ROOT / "data/gslb-geo.mmdb"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """The distributions that the package imports, one per import name where several share one."""
    owners = importlib.metadata.packages_distributions()
    names = {
        name
        for path in (ROOT / "gslb").rglob("*.py")
        for name in re.findall(r"^\s*(?:import|from)\s+(\w+)", path.read_text(), re.MULTILINE)
    }
    return {normal(owner) for name in names - {"gslb"} for owner in owners.get(name, [])}


def test_what_is_imported_is_declared_and_the_reverse() -> None:
    """A package that only comes along with another one may stop coming along; one that nobody uses is a burden."""
    declared = {normal(re.match(r"[\w.-]+", item)[0]) for item in PROJECT["dependencies"]}
    assert imported() == declared
