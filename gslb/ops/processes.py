"""What a process of the node costs, read from /proc. Control uses it for the metrics; other systems have none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _RSS = 11, 12, 21  # fields of /proc/PID/stat after the name (proc_pid_stat(5): 14, 15, 24)


@dataclass(frozen=True, slots=True)
class Usage:
    """One process: resident memory, CPU time of user and system, open descriptors."""

    resident_bytes: int
    cpu_s: float
    open_fds: int


def usage(pid: int) -> Usage | None:
    """What `pid` uses now; None if it is gone or can't be looked at."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()  # the name may hold spaces and brackets
        open_fds = len(os.listdir(folder / "fd"))  # noqa: PTH208 - a Path for each descriptor would be thrown away
    except OSError:
        return None
    return Usage(int(fields[_RSS]) * _PAGE_BYTES, (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS, open_fds)
