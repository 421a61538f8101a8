"""The message boundary: what goes in comes out, a chain of changes makes the same Status as a full copy."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.errors import NodeError
from gslb.model import RegionStatus, State, Status
from gslb.node import messages
from gslb.node.messages import Decoder, Drain, FullStatus, Hello, StatusChange, WantFull, apply, diff, encode

names = st.sampled_from(["eu", "us", "ap", "sa"])
region_status = st.builds(
    RegionStatus, st.sampled_from(State), st.text(max_size=5), st.booleans(), st.none() | st.floats(0, 10)
)
statuses = st.builds(
    Status,
    generation=st.integers(0, 99),
    regions=st.dictionaries(names, region_status),
    servers=st.dictionaries(names, st.sampled_from(State)),
    draining=st.booleans(),
    stale=st.booleans(),
)


@given(st.lists(statuses, min_size=1, max_size=6))
def test_changes_in_order_make_the_last_status(history):
    known = history[0]
    for number, new in enumerate(history[1:], 1):
        known = apply(known, diff(known, new, number))
        assert known == new


@given(statuses, statuses)
def test_a_change_names_only_what_differs(old, new):
    change = diff(old, new, 7)
    assert change.number == 7
    for key, value in change.regions.items():
        assert old.regions.get(key) != value
    assert diff(new, new, 8).regions == {} == diff(new, new, 8).servers


@given(st.lists(st.sampled_from([Hello(1, 2), WantFull(3), Drain(1.5), FullStatus(1, Status()), StatusChange(2, 2)])),
       st.integers(1, 50))
def test_frames_survive_any_cut(sent, step):
    stream = b"".join(encode(message) for message in sent)
    decoder = Decoder()
    got = []
    for start in range(0, len(stream), step):
        got += decoder.feed(stream[start : start + step])
    assert got == sent


def test_a_frame_has_a_bound(monkeypatch):
    monkeypatch.setattr(messages, "FRAME_MAX_BYTES", 100)
    with pytest.raises(NodeError, match="over the bound of 100"):
        encode(FullStatus(1, Status(servers={str(n): State.DOWN for n in range(100)})))
    with pytest.raises(NodeError, match="over the bound"):
        list(Decoder().feed((101).to_bytes(4, "big") + pickle.dumps(1)))
