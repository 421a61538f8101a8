"""What `.ci/run` does after a red `make test`: runs what failed once more, alone, if it can be for the machine's sake.

Tests of real processes against real time share two cores with five others. One or two of them that fail beside the
others and hold alone don't make CI red, but are named, to be looked at. Anything else that failed is a failure,
and so is a run that did not come to its end. `make test` itself gives no second chance.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 2
TIMED = ("tests/chaos/", "tests/e2e/", "tests/io/")
CACHE = Path(".pytest_cache/v")
TESTS_FAILED = 1  # pytest's exit status: it ran them all, and some failed


def excusable(status: int, failed: list[str]) -> bool:
    """Whether every test ran, by pytest's exit status, and all that failed are few tests of real processes."""
    few = 1 <= len(failed) <= MOST
    return status == TESTS_FAILED and few and all("::" in name and name.startswith(TIMED) for name in failed)


def main() -> int:
    """The exit code of the tests alone; 1 without them."""
    try:
        status = json.loads((CACHE / "gslb/exitstatus").read_text())  # tests/conftest.py writes it
        failed = list(json.loads((CACHE / "cache/lastfailed").read_text()))
    except FileNotFoundError:
        return 1
    if not excusable(status, failed):
        return 1
    print(f"once more, alone: {' '.join(failed)}", flush=True)
    again = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False)
    print(f"failed beside others, {'failed' if again.returncode else 'held'} alone: {' '.join(failed)}", flush=True)
    return again.returncode


if __name__ == "__main__":
    sys.exit(main())
