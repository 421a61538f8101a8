"""The loop that keeps a node in touch, over stores that do what the test says."""

import asyncio
import contextlib
import itertools

import pytest

from gslb.errors import StateError, StoreUnavailable
from gslb.state import sync
from gslb.state.memory import MemoryStore
from gslb.state.sync import Sync, open_store

VIEW = {"regions": {}}


class Doubtful(MemoryStore):
    """A MemoryStore that fails or hangs when told to, and notes when it was asked."""

    def __init__(self, name):
        super().__init__(lambda: 0.0)
        self.endpoint, self.mood, self.asked = name, "well", []

    async def publish(self, report, ttl_s):
        self.asked.append((asyncio.get_running_loop().time(), report.order))
        if self.mood == "away":
            raise StoreUnavailable("it is away")
        if self.mood == "hangs":
            await asyncio.sleep(3600)
        return await super().publish(report, ttl_s)


class Running:
    def __init__(self, *stores, **options):
        self.heard = []
        self.stores = stores
        self.options = {
            "kind": "view", "node": "edge-1", "incarnation": 1, "payload": lambda: VIEW, "interval_s": 0.01,
            "on_reports": lambda *words: self.heard.append(words), **options,
        }  # fmt: skip

    async def __aenter__(self):
        self.sync = Sync(self.stores, clock=asyncio.get_running_loop().time, **self.options)
        self.task = asyncio.create_task(self.sync.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.sync.close()

    async def rounds(self, store, count):
        wanted = len(store.asked) + count
        async with asyncio.timeout(10):
            while len(store.asked) < wanted:
                await asyncio.sleep(0.002)


async def test_each_round_publishes_a_greater_sequence_and_reads_every_kind():
    store = Doubtful("one")
    async with Running(store) as running:
        await running.rounds(store, 4)
    orders = [order for _, order in store.asked]
    assert orders == [(1, number) for number in range(1, len(orders) + 1)]
    assert {kind for kind, _, _ in running.heard} == {"region", "view"}
    assert await store.read("view") == ()  # it left


async def test_a_store_that_is_away_is_asked_less_often_but_always_again(monkeypatch, caplog):
    monkeypatch.setattr(sync, "BACKOFF_MAX_S", 0.05)
    store = Doubtful("one")
    store.mood = "away"
    async with Running(store, interval_s=0.01) as running:
        await running.rounds(store, 8)
        times = [at for at, _ in store.asked]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(gaps[2:]) > 0.04
        (endpoint,) = running.sync.endpoints()
        assert (endpoint["up"], endpoint["why"], endpoint["age_s"]) == (False, "it is away", None)
        assert endpoint["failures"] >= 7
        store.mood = "well"
        await running.rounds(store, 5)
        (endpoint,) = running.sync.endpoints()
        assert (endpoint["up"], endpoint["why"]) == (True, "")
    assert [line for line in caplog.messages if "shared store" in line] == [
        "the shared store is away; going on without it", "the shared store one is back",
    ]  # fmt: skip


async def test_a_store_that_hangs_is_given_up_and_the_other_goes_on(monkeypatch):
    monkeypatch.setattr(sync, "EXCHANGE_MAX_S", 0.05)
    hanging, well = Doubtful("hanging"), Doubtful("well")
    hanging.mood = "hangs"
    async with Running(hanging, well) as running:
        await running.rounds(hanging, 3)
        assert len(well.asked) > len(hanging.asked)
        assert [one["up"] for one in running.sync.endpoints()] == [False, True]


async def test_a_payload_that_cannot_be_stored_is_told_and_survived():
    store = Doubtful("one")
    payloads = iter([{"regions": 1}] * 3 + [VIEW] * 1000)
    async with Running(store, payload=lambda: next(payloads)) as running:
        await running.rounds(store, 8)
        assert running.sync.endpoints()[0]["up"]
        assert running.sync.endpoints()[0]["failures"] == 3


async def test_a_greater_incarnation_is_asked_of_the_directory():
    asked = []
    first, second = Doubtful("one"), Doubtful("two")
    for store in first, second:
        await MemoryStore.publish(store, sync.Report("view", "edge-1", 41, 9, VIEW), 60)
    raised = {"raise_incarnation": lambda at_least: asked.append(at_least) or at_least + 1}
    async with Running(first, second, **raised) as running:
        await running.rounds(first, 4)
        await running.rounds(second, 4)
    assert asked == [41]
    assert running.sync.incarnation == 42


def test_no_url_is_memory_and_the_same_url_twice_is_one_endpoint():
    assert [store.endpoint for store in open_store([], "c")] == ["memory"]
    urls = ["redis://127.0.0.1:1/0", "unix:///run/redis.sock", "redis://127.0.0.1:1/0"]
    assert [store.endpoint for store in open_store(urls, "c")] == urls[:2]
    with pytest.raises(StateError, match="bound"):
        open_store([f"redis://127.0.0.1:{port}" for port in range(1, 100)], "c")
