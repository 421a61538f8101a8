"""What /proc says of a process."""

import os
import subprocess
import sys

from gslb.ops.processes import usage


def test_our_own_usage_is_plausible():
    before = usage(os.getpid())
    assert 5e6 < before.resident_bytes < 5e9
    with open("/dev/null"):  # noqa: PTH123 - a bare descriptor is what is counted
        assert usage(os.getpid()).open_fds == before.open_fds + 1
    times = os.times()
    assert abs(usage(os.getpid()).cpu_s - times.user - times.system) < 0.5


def test_a_process_that_is_gone_is_none():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert usage(process.pid) is None
