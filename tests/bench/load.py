"""One measured run: drives a load at a server and divides the CPU time that it spent by what was answered."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import LOAD_CORE, NotMeasuredError, cpu_seconds

# a browser's request for a page, beside the Host field: a dozen fields, half a KiB
BROWSER_HEAD = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cache-Control: max-age=0",
    "Connection: keep-alive",
    "Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1",
    "Referer: http://www.example.com/catalogue/index.html",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Upgrade-Insecure-Requests: 1",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: CPU time per answer in µs, answers a second, and the share of the core that the server used."""

    cpu_us: float
    rate: float
    busy: float


def _drive(command: Sequence[str]) -> str:
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *command], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0:
        raise NotMeasuredError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


def _measured(pids: Sequence[int], command: Sequence[str], seconds: float) -> tuple[str, float, float]:
    before = cpu_seconds(pids)
    output = _drive(command)
    spent = cpu_seconds(pids) - before
    return output, spent, seconds


def _sample(spent: float, seconds: float, answered: int) -> Sample:
    if answered == 0:
        raise NotMeasuredError("nothing was answered")
    return Sample(spent / answered * 1e6, answered / seconds, spent / seconds)


def dnsperf(pids: Sequence[int], port: int, queries: Path, seconds: int) -> Sample:
    """dnsperf with a file of queries; every answer must be NOERROR."""
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-l", str(seconds), "-c", "10"]
    output, spent, _ = _measured(pids, [*command, "-q", "500"], seconds)
    completed = re.search(r"Queries completed:\s+(\d+)", output)
    codes = re.search(r"Response codes:\s+(.*)", output)
    if completed is None or codes is None or not re.fullmatch(r"NOERROR \d+ \(100\.00%\)", codes[1].strip()):
        raise NotMeasuredError(f"answers were not all NOERROR: {codes[1].strip() if codes else output[-200:]}")
    return _sample(spent, seconds, int(completed[1]))


def resolvers(pids: Sequence[int], port: int, packets: Path, seconds: int) -> Sample:
    """dnsload with a file of packets; every answer must be NOERROR and carry the client subnet it was asked with."""
    script = str(Path(__file__).with_name("dnsload.py"))
    output, spent, _ = _measured(pids, [sys.executable, script, "run", str(packets), str(port), str(seconds)], seconds)
    counts = json.loads(output)
    if counts["rcode_not_0"] or counts["without_ecs"]:
        raise NotMeasuredError(f"wrong answers: {counts}")
    return _sample(spent, seconds, counts["answered"])


def wrk(
    pids: Sequence[int], url: str, host: str, seconds: int, *, connections: int = 64, head: Sequence[str] = ()
) -> Sample:
    """wrk over keep-alive connections; every answer must be 2xx or 3xx."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {host}"]
    for field in head:
        command += ["-H", field]
    output, spent, _ = _measured(pids, [*command, url], seconds)
    done = re.search(r"(\d+) requests in ([\d.]+)s", output)
    bad = re.search(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)", output)
    if done is None or bad is not None:
        raise NotMeasuredError(f"wrk: {bad[1] if bad else output[-200:]}")
    return _sample(spent, float(done[2]), int(done[1]))
