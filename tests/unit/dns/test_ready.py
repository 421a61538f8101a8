"""What is remembered: turns go round, forgetting keeps places, the longest answer is bounded by what is configured."""

import pytest

from gslb.dns.answers import pieces, resolve
from gslb.dns.ready import Answer, Shape, Steered
from gslb.dns.wire import parse_query
from gslb.dns.zones import Zones

NAME = b"\3www\7example\3com\0"
QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + NAME + b"\0\1\0\1"


@pytest.fixture
def reply(small):
    zones = Zones(small.plan.zones.values(), small.plan.services.values())
    return resolve(zones, NAME, 1, 1, b"")


def answer(reply, *addresses: bytes) -> Answer:
    return Answer(reply, pieces(reply, NAME, (60, addresses)), valid_until=1.0, cell=3, hashed=False)


def test_an_answers_tail_is_its_records(reply):
    one, two = answer(reply, bytes(4)), answer(reply, bytes(4), bytes([1] * 4))
    assert len(two.tail) == len(one.tail) + 16  # pointer, type, class, TTL, length and an address
    assert one.tail[:2] == b"\xc0\x0c"


def test_turns_go_round_by_key(reply):
    steered = Steered(reply, NAME)
    turns = tuple(answer(reply, bytes([n] * 4)) for n in range(3))
    steered.turning["a"] = turns
    seen = [steered.next_turn("a") for _ in range(6)]
    assert sorted(map(id, seen)) == sorted(map(id, turns * 2))
    assert seen[:3] == seen[3:]
    assert steered.next_turn("b") is None


def test_forgetting_keeps_where_clients_are(reply):
    steered = Steered(reply, NAME)
    steered.keys["4.4.4.4"], steered.blocks[b"\4\4"] = 1, (1, b"\x08")
    steered.ready[1] = answer(reply, bytes(4))
    steered.turning[2] = (answer(reply, bytes(4)),)
    steered.hashed.add(1)
    steered.forget()
    assert not (steered.ready or steered.turning or steered.hashed)
    assert steered.keys == {"4.4.4.4": 1}
    assert steered.blocks == {b"\4\4": (1, b"\x08")}


def test_no_answer_is_longer_than_the_longest(reply, small):
    steered = Steered(reply, NAME)
    configured = [address for region in small.plan.regions.values() for address in region.ipv4]
    assert len(answer(reply, *(bytes(4) for _ in configured)).tail) <= steered.longest


def test_a_shape_without_edns_has_no_opt(reply):
    steered = Steered(reply, NAME)
    shape = Shape(parse_query(QUERY), None, None, steered)
    assert (shape.opt, shape.options_bytes) == (b"", 0)
    assert shape.ready is steered.ready
    assert shape.keys is steered.keys
