"""Every store keeps the same promises: in memory, in a real Redis, in fakeredis."""

import asyncio
import itertools
import time

import fakeredis
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gslb.errors import StateError
from gslb.state.memory import MemoryStore
from gslb.state.redis import RedisStore
from gslb.state.store import KINDS, NODES_MAX, NUMBER_MAX, REPORT_MAX_BYTES, Report
from tests.support.redis_server import RedisServer

PAYLOADS = {"region": {"region": "eu", "state": "up"}, "view": {"regions": {"eu": "up", "us": "down"}}}
PATIENT_S = 10.0  # the time limit is no promise of a store: tests/io/test_redis_store.py is for it
_clusters = itertools.count()


@pytest.fixture(scope="module")
def server():
    with RedisServer() as running:
        yield running


@pytest.fixture(params=["memory", "redis", "unix", "fakeredis"])
def make(request):
    """Makes a new, empty store."""
    if request.param == "memory":
        return lambda: MemoryStore(time.monotonic)
    if request.param == "fakeredis":
        return lambda: RedisStore(
            "redis://fake", "c", timeout_s=PATIENT_S, client=fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
        )
    server = request.getfixturevalue("server")
    url = server.url if request.param == "redis" else server.unix_url
    return lambda: RedisStore(url, f"c{next(_clusters)}", timeout_s=PATIENT_S)


@pytest.fixture
async def store(make):
    made = make()
    yield made
    await made.close()


def report(kind="view", node="edge-1", incarnation=1, sequence=1, payload=None):
    return Report(kind, node, incarnation, sequence, payload or PAYLOADS[kind])


# ---------------------------------------------------------------- against a model
class Promises(RuleBasedStateMachine):
    """Whatever is published in whatever order: per node and kind the greatest is there, whole, and nothing else."""

    make = None

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.runner.run(self._made())
        self.model = {}

    async def _made(self):
        return type(self).make()

    nodes = st.sampled_from(["edge-1", "eu-west/host.a", "x:1@h", "n" * 255])
    numbers = st.one_of(st.integers(0, 3), st.sampled_from([NUMBER_MAX - 1, NUMBER_MAX]))
    texts = st.text(max_size=6)

    @rule(kind=st.sampled_from(KINDS), node=nodes, incarnation=numbers, sequence=numbers, extra=texts)
    def publish(self, kind, node, incarnation, sequence, extra):
        new = report(kind, node, incarnation, sequence, {**PAYLOADS[kind], "extra": extra, "é\n": [None, 1.5, True]})
        held = self.runner.run(self.store.publish(new, 60))
        old = self.model.get((kind, node))
        if old is None or old.order <= new.order:
            self.model[kind, node] = new
        assert held == self.model[kind, node].order

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        kind, node = data.draw(st.sampled_from(sorted(self.model)))
        self.runner.run(self.store.remove(kind, node))
        del self.model[kind, node]

    @rule(kind=st.sampled_from(KINDS), node=nodes)
    def remove_anything(self, kind, node):
        self.runner.run(self.store.remove(kind, node))
        self.model.pop((kind, node), None)

    @invariant()
    def read(self):
        for kind in KINDS:
            wanted = tuple(self.model[key] for key in sorted(self.model) if key[0] == kind)
            assert self.runner.run(self.store.read(kind)) == wanted
        assert not self.store.ignored

    def teardown(self):
        self.runner.run(self.store.close())
        self.runner.close()


def test_the_greatest_of_a_node_wins(make):
    machine = type("Made", (Promises,), {"make": staticmethod(make)})
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    )


# ---------------------------------------------------------------- one by one
async def test_a_report_ends_by_itself_and_only_its_own_life_counts(store):
    await store.publish(report(node="short"), 0.15)
    await store.publish(report(node="long"), 60)
    await store.publish(report("region", node="short"), 0.15)
    assert {one.node for one in await store.read("view")} <= {"short", "long"}
    deadline = time.monotonic() + 5
    while len(await store.read("view")) > 1 or await store.read("region"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert [one.node for one in await store.read("view")] == ["long"]
    assert await store.publish(report(node="short", incarnation=0, sequence=0), 60) == (0, 0)


async def test_publishing_again_prolongs_the_life(store):
    await store.publish(report(sequence=1), 0.2)
    await store.publish(report(sequence=2), 60)
    await asyncio.sleep(0.3)
    assert [one.sequence for one in await store.read("view")] == [2]


@pytest.mark.parametrize(
    "bad",
    [
        report(node=""), report(node="a b"), report(node="n" * 256), report(node="é"), report(incarnation=-1),
        report(sequence=NUMBER_MAX + 1), report(sequence=1.0), report(incarnation=True), report(payload={"regions": 3}),
        report(payload={"regions": {"eu": None}}), report(payload={"regions": {}, "x": "x" * REPORT_MAX_BYTES}),
        report(payload={"regions": {}, "x": float("nan")}), report(payload={"regions": {}, "x": object()}),
        Report("region", "n", 1, 1, {"region": "eu"}), Report("gossip", "n", 1, 1, {}),
        Report("view", "n", 1, 1, {"regions": {}}, schema=2),
    ],
    ids=lambda one: repr(one)[:60],
)  # fmt: skip
async def test_what_nobody_could_read_is_refused(store, bad):
    with pytest.raises(StateError):
        await store.publish(bad, 60)
    assert await store.read("view") == ()


async def test_the_number_of_nodes_is_bounded(store):
    for number in range(NODES_MAX + 3):
        await store.publish(report(node=f"n{number}"), 60 + number)
    found = {one.node for one in await store.read("view")}
    assert len(found) == NODES_MAX
    assert f"n{NODES_MAX + 2}" in found


async def test_a_reader_cannot_change_what_is_kept(store):
    await store.publish(report(), 60)
    (one,) = await store.read("view")
    one.payload["regions"]["eu"] = "down"
    assert (await store.read("view"))[0].payload == PAYLOADS["view"]


async def test_ping_is_a_duration_and_an_unknown_kind_is_empty(store):
    assert 0 <= await store.ping() < 5
    assert await store.read("gossip") == ()
    await store.remove("view", "nobody")
