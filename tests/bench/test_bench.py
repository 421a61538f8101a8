"""The bench's own parts: packets by an independent reader, verdicts, and that nothing it starts outlives it."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
try:
    import dnsload
    import load
    import table
    from machine import NotMeasuredError, cpu_seconds, free_port, unshared_mib
finally:
    sys.path.remove(str(HERE))


def read(packet):
    return dns.message.from_wire(packet)


def test_every_packet_asks_for_the_name_and_a_client_subnet():
    packets = dnsload.packets("www.example.com", "subnets", 200)
    subnets = set()
    for message in map(read, packets):
        [question] = message.question
        assert question.name.to_text() == "www.example.com."
        assert question.rdtype == dns.rdatatype.A
        [option] = message.options
        assert (option.srclen, option.scopelen, option.family) == (24, 0, 1)
        subnets.add(option.address)
    assert len(subnets) > 190


def test_a_mix_has_what_resolvers_send():
    messages = [read(packet) for packet in dnsload.packets("www.example.com", "resolvers", 1000)]
    share = {
        "mixed case": sum(m.question[0].name.to_text() != "www.example.com." for m in messages),
        "AAAA": sum(m.question[0].rdtype == dns.rdatatype.AAAA for m in messages),
        "DO": sum(bool(m.ednsflags & dns.flags.DO) for m in messages),
        "ECS": sum(any(o.otype == dns.edns.OptionType.ECS for o in m.options) for m in messages),
        "cookie": sum(any(o.otype == dns.edns.OptionType.COOKIE for o in m.options) for m in messages),
    }
    expected = {"mixed case": 900, "AAAA": 100, "DO": 800, "ECS": 333, "cookie": 500}
    assert all(abs(share[what] - expected[what]) < 60 for what in expected), share


def test_packets_survive_the_file(tmp_path):
    packets = dnsload.packets("www.example.com", "resolvers", 50)
    dnsload.save(tmp_path / "packets", packets)
    assert dnsload.read(tmp_path / "packets") == packets
    assert struct.unpack("!H", (tmp_path / "packets").read_bytes()[:2]) == (len(packets[0]),)


def program(tmp_path, name, output):
    """A load tool that says `output`, and `taskset` that runs what it is given."""
    for tool, text in ((name, f"cat <<'END'\n{output}\nEND\n"), ("taskset", 'shift 2; exec "$@"\n')):
        (tmp_path / tool).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / tool).chmod(0o755)


DNSPERF = "  Queries completed:    4000 (100.00%)\n  Response codes:       {codes}"
WRK = "  {requests} requests in 2.00s, 1MB read\n{trouble}"


@pytest.mark.parametrize("codes", ["NOERROR 3999 (99.98%), SERVFAIL 1 (0.02%)", "REFUSED 4000 (100.00%)"])
def test_wrong_dns_answers_are_no_measurement(tmp_path, monkeypatch, codes):
    program(tmp_path, "dnsperf", DNSPERF.format(codes=codes))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NotMeasuredError, match="not all NOERROR"):
        load.dnsperf([os.getpid()], 1, tmp_path / "q", 2)


@pytest.mark.parametrize("trouble", ["  Non-2xx or 3xx responses: 1", "  Socket errors: connect 0, read 1"])
def test_wrong_http_answers_are_no_measurement(tmp_path, monkeypatch, trouble):
    program(tmp_path, "wrk", WRK.format(requests=100, trouble=trouble))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NotMeasuredError, match="wrk: "):
        load.wrk([os.getpid()], "http://127.0.0.1:1/", "a", 2)


def test_a_run_is_cpu_time_over_answers(tmp_path, monkeypatch):
    program(tmp_path, "wrk", WRK.format(requests=5000, trouble=""))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    spent = iter([10.0, 10.1])
    monkeypatch.setattr(load, "cpu_seconds", lambda pids: next(spent))
    sample = load.wrk([1], "http://127.0.0.1:1/", "a", 2)
    assert (sample.cpu_us, sample.rate, sample.busy) == (pytest.approx(20), 2500, pytest.approx(0.05))


def test_cpu_time_and_memory_are_read_from_this_kernel():
    before = cpu_seconds([os.getpid()])
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert 0.04 < cpu_seconds([os.getpid()]) - before < 5
    unshared, proportional = unshared_mib(os.getpid())
    assert 1 < unshared <= proportional


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (table.Row("a", "µs", 10, "nginx", 5, bar=2.0), "held"),
        (table.Row("a", "µs", 11, "nginx", 5, bar=2.0), "missed"),
        (table.Row("a", "MiB/s", 8, "nginx", 10, bar=0.8, at_least=True), "held"),
        (table.Row("a", "MiB/s", 7, "nginx", 10, bar=0.8, at_least=True), "missed"),
        (table.Row("a", "µs", 1.9, bar=2.0), "held"),
        (table.Row("a", "µs", 2.1, bar=2.0), "missed"),
        (table.Row("a", "µs", 10, "haproxy", 5), ""),
        (table.Row("a", "µs", bar=2.0, error="nothing was answered"), "not measured"),
    ],
)
def test_a_bar_is_held_or_missed(row, verdict):
    assert row.verdict == verdict
    assert verdict in table.as_text([row])
    assert f'"verdict": "{verdict}"' in table.as_json([row])


KEEPER = """
import sys
sys.path.insert(0, {here!r})
import signal, time
from pathlib import Path
from machine import Processes
from run import interrupted
signal.signal(signal.SIGTERM, interrupted)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with INT ignored
with Processes(Path({folder!r})) as processes:
    print(processes.start("sleeper", ["sleep", "60"], core=0).pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_bench(tmp_path, number):
    code = KEEPER.format(here=str(HERE), folder=str(tmp_path))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as bench:
        started = int(bench.stdout.readline())
        assert Path(f"/proc/{started}").exists()
        bench.send_signal(number)
        bench.wait(10)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{started}").exists() and state(started) != "Z":
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_free_port_is_free_for_both():
    assert 1024 < free_port() < 65536
