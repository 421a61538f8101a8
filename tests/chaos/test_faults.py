"""What fails in hosts and between them: processes killed and frozen, frames lost and late, clocks, a full disk."""

import contextlib
import itertools
import json
import signal
import subprocess
import time

import pytest

from tests.chaos.conftest import BOTH_EU, BOTH_US, HOSTS, LOST_S, NEW_YORK, stays, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_lost_region_is_left_also_with_one_redis_gone_with_it(hosts):
    hosts.kill("redis-eu-west")
    hosts.kill("eu-west")
    until(lambda: hosts.answers() == BOTH_US, LOST_S, "both edges lead elsewhere")


def test_both_redis_servers_gone_cost_no_answer(hosts):
    hosts.kill("redis-eu-west")
    hosts.kill("redis-us-east")
    stays(lambda: hosts.answers() == BOTH_EU and hosts.answers(NEW_YORK) == BOTH_US, 6, "answers go on")


def test_a_frozen_region_is_left_and_taken_back(hosts):
    hosts.signal("eu-west", signal.SIGSTOP)
    until(lambda: hosts.answers() == BOTH_US, LOST_S, "both edges lead elsewhere")
    hosts.signal("eu-west", signal.SIGCONT)
    until(lambda: hosts.answers() == BOTH_EU, 30, "it is back")


def test_a_network_that_loses_a_fifth_of_all_frames_moves_nobody(hosts):
    for one, other in itertools.combinations(HOSTS, 2):
        hosts.between(one, other, loss=0.2)
    stays(lambda: hosts.answers() == BOTH_EU and hosts.answers(NEW_YORK) == BOTH_US, 8, "as before")


def test_a_slow_network_moves_nobody_and_one_that_is_slower_than_probes_wait_takes_the_region_out(hosts):
    for other in ("edge-1", "edge-2", "us-east"):
        hosts.between("eu-west", other, delay_s=0.3)
    stays(lambda: hosts.answers() == BOTH_EU, 5, "0.6 s there and back is slow, not down")
    for other in ("edge-1", "edge-2", "us-east"):
        hosts.between("eu-west", other, delay_s=1.5)
    until(lambda: hosts.answers() == BOTH_US, LOST_S, "both edges lead elsewhere")


def test_a_clock_that_jumps_changes_nothing(hosts):
    """The time of day of an edge and of a region's node, a day ahead and a day back; a region is lost meanwhile."""
    clock = hosts.folder / "clock"
    clock.write_text("+0\n")
    for name in ("edge-1", "eu-west"):
        hosts.kill(name)
        hosts.node(name, clock)
    until(lambda: hosts.answers() == BOTH_EU, 40, "both run by the clock of the test")
    for jump in ("+1d", "-1d"):
        clock.write_text(f"{jump}\n")
        stays(lambda: hosts.answers() == BOTH_EU and hosts.answers(NEW_YORK) == BOTH_US, 4, "as before")
    hosts.say("edge-1", "us-east", "drain")
    said = json.loads((hosts.folder / "state/edge-1/overrides").read_text().partition("\n")[2])["overrides"][0]
    assert -1.01 < said["stamp"][0] / 86_400_000 - time.time() / 86_400 < -0.99, "it does see another time"
    until(lambda: hosts.answer("edge-1", NEW_YORK) == "eu-west", 5, "it obeys at once")
    hosts.say("edge-1", "us-east", "auto")
    until(lambda: hosts.answer("edge-1", NEW_YORK) == "us-east", 5, "and takes back")
    for other in ("edge-1", "edge-2", "us-east"):
        hosts.cut("eu-west", other)
    until(lambda: hosts.answers() == BOTH_US, LOST_S, "a lost region is left by any clock")
    for name in ("edge-1", "eu-west"):
        hosts.kill(name)


def test_a_full_disk_stops_nothing_and_leaves_the_last_good_state_whole(hosts):
    """A real, tiny file system under the state directory of an edge, which is started on it again while cut off."""
    folder = hosts.folder / "state/edge-1"
    hosts.kill("edge-1")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], capture_output=True,
                             check=False)  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("this kernel mounts no tmpfs")
    try:
        hosts.node("edge-1")
        until(lambda: (folder / "last-good").exists() and hosts.answers() == BOTH_EU, 40, "it knows what is good")
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        for other in ("edge-1", "edge-2", "us-east"):
            hosts.cut("eu-west", other)
        until(lambda: hosts.answers() == BOTH_US, LOST_S, "health goes on")
        hosts.kill("edge-1")
        for other in ("edge-2", "us-east"):
            hosts.cut("edge-1", other)
        hosts.node("edge-1")
        until(lambda: hosts.answer("edge-1") == "eu-west", 10, "what was last kept is there")
        assert '"stale": true' in hosts.status("edge-1")
    finally:
        hosts.kill("edge-1")
        subprocess.run(["umount", "-l", str(folder)], check=True)
