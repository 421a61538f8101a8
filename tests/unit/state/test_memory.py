"""The in-process store by a clock of the test's; the rest of its promises are in tests/contract/test_stores.py."""

from gslb.state.memory import MemoryStore
from gslb.state.store import Report


async def test_a_report_lives_as_long_as_was_said():
    now = [100.0]
    store = MemoryStore(lambda: now[0])
    old = Report("view", "edge-1", 9, 9, {"regions": {}})
    await store.publish(old, 10)
    now[0] = 109.9
    assert await store.read("view") == (old,)
    now[0] = 110.0
    assert await store.read("view") == ()
    newer_start = Report("view", "edge-1", 1, 1, {"regions": {}})
    assert await store.publish(newer_start, 10) == (1, 1)
