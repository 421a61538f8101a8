"""The two commands on a fresh machine, as far as they can be looked at from inside one that is set up."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.alone import excusable

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"help", ".venv", "demo", "check", "test", "lint", "guards", "bench", "drill-report", "clean"}
SCRIPTS = [".ci/run", ".ci/apt", ".ci/venv"]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        # the tests themselves run under make, which speaks to the makes below it through these
        env={key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL"}} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_make_alone_lists_every_target() -> None:
    done = run("make")
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == TARGETS


def test_every_target_is_phony_but_the_stamps() -> None:
    makefile = (ROOT / "Makefile").read_text()
    made = set(re.findall(r"^([a-z.][\w./-]*):", makefile, re.MULTILINE)) - {".NOTPARALLEL", ".PHONY"}
    assert made == TARGETS | {".venv/.runtime", ".venv/.tools"}
    assert set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()) == TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_can_be_made(target: str) -> None:
    assert run("make", "-n", target).returncode == 0


def test_the_demo_needs_no_test_tools() -> None:
    planned = run("make", "-n", "-W", "pyproject.toml", "demo").stdout
    assert "--editable ." in planned
    assert "[test,lint]" not in planned


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_parses_and_may_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert run("bash", "-n", script).returncode == 0


def test_ci_holds_every_commit_to_all_of_it_and_ends_with_the_tests() -> None:
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make ")]
    again = "make test || .venv/bin/python -m tests.support.alone"
    assert commands == ["make lint", "make guards", "make drill-report RUNS=2", again]


@pytest.mark.parametrize(
    ("status", "failed", "may"),
    [
        (1, ["tests/e2e/test_demo.py::test_a"], True),
        (1, ["tests/e2e/test_demo.py::test_a", "tests/io/test_b.py::test_b[x]"], True),
        (1, ["tests/chaos/test_a.py::test_a", "tests/e2e/test_b.py::test_b", "tests/io/test_c.py::test_c"], False),
        (1, ["tests/e2e/test_demo.py::test_a", "tests/unit/test_b.py::test_b"], False),
        (1, ["tests/e2e/test_demo.py"], False),  # it could not even be collected
        (1, [], False),
        (2, ["tests/e2e/test_demo.py::test_a"], False),  # the run was interrupted
        (3, ["tests/e2e/test_demo.py::test_a"], False),  # pytest itself broke
    ],
)
def test_only_few_tests_of_real_processes_get_a_second_chance(status: int, failed: list[str], may: bool) -> None:
    assert excusable(status, failed) is may


def test_apt_does_nothing_where_every_command_is_there() -> None:
    done = run(".ci/apt", "bash:bash", "make:make")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_apt_says_what_to_install_where_it_may_not(tmp_path: Path) -> None:
    """Without apt-get on the PATH nothing can be installed: the message names the package, and the run fails."""
    for tool in ("bash", "env", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    done = run("/usr/bin/env", "bash", ".ci/apt", "no-such-command-here:some-package", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "install them first (Debian: apt-get install some-package)" in done.stderr


def test_venv_refuses_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run(".ci/venv", str(tmp_path / "venv"), PYTHON=str(old))
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_venv_leaves_a_working_environment_alone(tmp_path: Path) -> None:
    bin_ = tmp_path / "venv/bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").write_text("#!/bin/sh\nexit 0\n")
    (bin_ / "python").chmod(0o755)
    assert run(".ci/venv", str(tmp_path / "venv"), PYTHON="/nonexistent").returncode == 0
