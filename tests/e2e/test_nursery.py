"""The commands that tests/support/nursery.py starts are those that a user starts."""

import subprocess
import sys

import pytest

from tests.support.sandbox import NURSERY

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "words", [("check", "--json"), ("explain", "www.example.com", "--client", "me"), ("no-such-command",)], ids=" ".join
)
def test_a_command_says_and_ends_as_one_started_by_exec(sandbox, words):
    config = () if words[0] == "no-such-command" else ("--config", str(sandbox.config))
    command = [sys.executable, "-m", "gslb", *words, *config]
    real = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    ours = NURSERY.run(command, 60)
    assert (ours.returncode, ours.stdout, ours.stderr) == (real.returncode, real.stdout, real.stderr)


def test_a_command_that_takes_too_long_is_killed(sandbox):
    command = [sys.executable, "-m", "gslb", "edge", "--name", "edge-1", "--config", str(sandbox.config)]
    with pytest.raises(subprocess.TimeoutExpired):
        NURSERY.run(command, 0.5)
