"""What must never happen (gslb/ARCHITECTURE.md): `make guards` takes each guard out of a copy, and a test must fail.

A guard is some text of one file and what it becomes; the tests are those that it must break. If the text is not in the
file any more, the guard has moved: find it, and name it here.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEVERS = range(1, 13)


@dataclass(frozen=True)
class Guard:
    never: int
    file: str
    text: str
    becomes: str
    tests: str

    def __str__(self) -> str:
        return f"{self.never} {Path(self.file).stem} {' '.join(self.text.split())[:40]}"


GUARDS = [
    # 1. Health never makes an NXDOMAIN, a NODATA or an empty answer.
    Guard(1, "gslb/steering/engine.py", "_up_first(each or order)", "each", "tests/unit/steering/test_engine.py"),
    Guard(1, "gslb/dns/answers.py", "if any(region.addresses(family) for region in node.service.regions):",
          "if node.service.regions[0].addresses(family):", "tests/unit/dns/test_responder.py -k without_the_family"),
    Guard(1, "gslb/steering/engine.py", "return room or pool, True", "return room, True",
          "tests/unit/steering/test_engine.py"),
    # 2. "I see nothing" is evidence about me.
    Guard(2, "gslb/health/quorum.py", "if state is not State.DOWN or not evidence.isolated:", "if True:",
          "tests/unit/health/test_quorum.py"),
    Guard(2, "gslb/health/regions.py", "if self._blinded(blind and not some_up, now):", "if self._blinded(False, now):",
          "tests/unit/health/test_regions.py"),
    Guard(2, "gslb/health/regions.py", "return tuple(blind)", "return ()", "tests/unit/health/test_regions.py"),
    Guard(2, "gslb/health/regions.py", "(theirs - {vantage} <= up) if most else ", "",
          "tests/unit/health/test_regions.py"),
    # 3. A stale report is not a down report; new is what has a new number, by the own clock.
    Guard(3, "gslb/health/regions.py", "if self._age_s(node, now) <= FRESH_S", "if True",
          "tests/unit/health/test_regions.py"),
    Guard(3, "gslb/health/regions.py", "if now - word.at <= FRESH_S and not", "if not",
          "tests/unit/health/test_regions.py"),
    Guard(3, "gslb/health/quorum.py", "if order <= known.order:", "if order < known.order:",
          "tests/unit/health/test_quorum.py"),
    # 4. An older one is never applied over a newer; nothing half read replaces what is good.
    Guard(4, "gslb/health/quorum.py", "if order <= known.order:", "if False:", "tests/unit/health/test_quorum.py"),
    Guard(4, "gslb/node/worker.py", "message.plan.generation < known.plan.generation", "False",
          "tests/io/test_worker.py"),
    Guard(4, "gslb/node/worker.py", "known.status is None or message.number != known.number + 1",
          "known.status is None", "tests/io/test_worker.py"),
    Guard(4, "gslb/state/redis.py", "old.incarnation > incarnation or", "false or", "tests/io/test_redis_store.py"),
    Guard(4, "gslb/state/directory.py", "if hashlib.sha256(body).hexdigest().encode() != header[2]:", "if False:",
          "tests/unit/state/test_directory.py"),
    # 5. One vantage point never takes a region down that others see up; its own word counts at once.
    Guard(5, "gslb/health/quorum.py", "if 2 * len(down) > len(views):", "if down:", "tests/unit/health/test_quorum.py"),
    Guard(5, "gslb/health/quorum.py", 'return State.DOWN, "its own word: no servers left"', "return None",
          "tests/unit/health/test_quorum.py"),
    Guard(5, "gslb/health/regions.py", "merged[name] = min(merged.get(name, state), state, key=_BEST_FIRST)",
          "merged[name] = state", "tests/unit/health/test_regions.py"),
    # 6. All down means fail open.
    Guard(6, "gslb/steering/engine.py", 'return "all_down", pool', 'return "all_down", ()',
          "tests/unit/steering/test_engine.py"),
    # 7. The health traffic costs the same at no and at all failures.
    Guard(7, "gslb/health/runner.py", "max(0.0, started + interval_s - self._clock())",
          "max(0.0, started + interval_s * (1 if result.ok else 0.5) - self._clock())",
          "tests/io/test_health_runner.py -k test_7"),
    # 8. A switch by hand needs no store and no other node, holds over a restart, and is told on.
    Guard(8, "gslb/node/overriding.py", 'self._context.directory.keep("overrides", ', "dict(",
          "tests/unit/node/test_overriding.py"),
    Guard(8, "gslb/node/overriding.py", "        self._keep()\n        self._applied()\n        return",
          "        self._keep()\n        return", "tests/unit/node/test_overriding.py"),
    Guard(8, "gslb/health/newest.py", "now_ms > last_ms else (last_ms, count + 1, self._node)",
          "True else (0, 0, '')", "tests/unit/health/test_newest.py"),
    # 9. A cold start answers from the last known good.
    Guard(9, "gslb/health/regions.py", "for name, state in states.items() if name in self.seen}",
          "for name, state in ()}", "tests/unit/health/test_regions.py"),
    Guard(9, "gslb/health/quorum.py", 'return evidence.last_good, "no fresh evidence; last known good"',
          'return State.UNKNOWN, ""', "tests/unit/health/test_quorum.py"),
    # 10. Everything has a bound.
    Guard(10, "gslb/health/newest.py", "key in self.known or len(self.known) < self._most", "True",
          "tests/unit/health/test_newest.py"),
    Guard(10, "gslb/health/turns.py", "or len(self._waiting) < WAITING_MAX:", "or True:",
          "tests/unit/health/test_turns.py"),
    Guard(10, "gslb/dns/server.py", "known is None and len(self.connections) >= CONNECTIONS_MAX", "False",
          "tests/io/test_dns_server.py -k the_longest_idle"),
    Guard(10, "gslb/health/runner.py", "if len(targets) > TARGETS_MAX:", "if False:",
          "tests/io/test_health_runner.py -k too_many"),
    # 11. Scopes are safe, and negatives do not depend on the client.
    Guard(11, "gslb/geo/locate.py", "return place, max(length, scope_outside(address))", "return place, length",
          "tests/unit/geo/test_locate.py"),
    Guard(11, "gslb/geo/prefixes.py", "129 - nearer.bit_length()", "128 - nearer.bit_length()",
          "tests/unit/geo/test_prefixes.py"),
    Guard(11, "gslb/dns/deciding.py", "max(scope, UNIT_BITS[family]) if answer.hashed else scope", "scope",
          "tests/unit/dns/test_deciding.py tests/unit/dns/test_responder.py"),
    # 12. Bad input raises out of nothing.
    Guard(12, "gslb/dns/responder.py", "query = parse_query(wire)\n        except WireError as error:",
          "query = parse_query(wire)\n        except KeyError as error:", "tests/unit/dns/test_responder.py"),
    Guard(12, "gslb/state/store.py", 'except (ValueError, RecursionError):\n        return "json"',
          'except KeyError:\n        return "json"', "tests/unit/state/test_store.py"),
    Guard(12, "gslb/state/redis_client.py", "(RedisError, RedisClusterException, OSError, UnicodeError)",
          "(RedisError, OSError, UnicodeError)", "tests/io/test_redis_kinds.py -k gone"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """This repository's code and tests once more."""
    folder = tmp_path_factory.mktemp("guards")
    for name in ("gslb", "tests", "regions", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.mmdb"))
    for name in ("pyproject.toml", "data/gslb-geo.mmdb"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.guards
@pytest.mark.parametrize("guard", GUARDS, ids=str)
@pytest.mark.timeout(120)
def test_a_test_fails_without_it(copy, guard):
    file = copy / guard.file
    whole = file.read_text()
    try:
        file.write_text(whole.replace(guard.text, guard.becomes))
        # Without the cache of byte code: a file may change twice within a second.
        words = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider",
                     "--hypothesis-profile", "guards"]  # fmt: skip
        done = subprocess.run([*words, *guard.tests.split()], cwd=copy, capture_output=True, text=True, check=False)
    finally:
        file.write_text(whole)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "1 failed" in done.stdout, done.stdout[-2000:]


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_it_is_where_it_is_said_to_be(guard):
    found = (ROOT / guard.file).read_text().count(guard.text)
    assert found == 1, f"{guard.file} has it {found} times: {guard.text}"
    assert all((ROOT / word).is_file() for word in guard.tests.split() if word.startswith("tests/"))


def test_every_never_has_a_guard():
    assert {guard.never for guard in GUARDS} == set(NEVERS)
