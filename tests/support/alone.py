"""What `.ci/run` does after a red `make test`: runs what failed once more, alone, if it can be for the machine's sake.

Tests of real processes against real time share two cores with five others. One or two of them that fail beside the
others and hold alone don't make CI red, but are named, to be looked at. Anything else that failed is a failure.
`make test` itself gives no second chance.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 2
TIMED = ("tests/chaos/", "tests/e2e/", "tests/io/")
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def excusable(failed: list[str]) -> bool:
    """Whether all that failed are few tests of real processes."""
    return 1 <= len(failed) <= MOST and all("::" in name and name.startswith(TIMED) for name in failed)


def main() -> int:
    """The exit code of the tests alone; 1 without them."""
    failed = list(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not excusable(failed):
        return 1
    print(f"once more, alone: {' '.join(failed)}", flush=True)
    again = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False)
    print(f"failed beside others, {'failed' if again.returncode else 'held'} alone: {' '.join(failed)}", flush=True)
    return again.returncode


if __name__ == "__main__":
    sys.exit(main())
