import dataclasses
import inspect
import pickle

import pytest

from gslb import model
from gslb.model import State, Status
from gslb.model.places import Location, Region

NOUNS = [one for _, one in inspect.getmembers(model, dataclasses.is_dataclass)]
REGION = Region("eu-west", Location(53.34, -6.26), ("192.0.2.1",), ("2001:db8::1",), "https://EU-West.example.com:8443/x")


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_a_noun_is_frozen_and_has_slots(noun):
    assert noun.__dataclass_params__.frozen
    assert "__slots__" in vars(noun)


def test_a_region_tells_its_addresses_by_family():
    assert REGION.addresses(4) == ("192.0.2.1",)
    assert REGION.addresses(6) == ("2001:db8::1",)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://EU-West.example.com:8443/x", "eu-west.example.com:8443"),
        ("http://127.0.0.1:8101", "127.0.0.1:8101"),
        ("http://[2001:db8::1]:80/", "[2001:db8::1]:80"),
    ],
)
def test_a_region_is_named_by_its_urls_authority_in_lower_case(url, authority):
    assert dataclasses.replace(REGION, url=url).authority == authority


def test_states_are_told_best_first():
    assert [state.value for state in State] == ["up", "unknown", "draining", "down"]


def test_two_status_with_equal_content_are_equal_and_cross_processes():
    one = Status(3, servers={"web/a": State.DOWN})
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != dataclasses.replace(one, generation=4)
