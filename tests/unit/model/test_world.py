"""What a Status says of a region for a service."""

from gslb.model import State
from gslb.model.world import RegionStatus, Status

UP, DOWN = RegionStatus(State.UP), RegionStatus(State.DOWN, "an operator", forced=True)


def test_what_was_said_of_a_service_in_a_region_goes_before_the_region():
    status = Status(regions={"eu": UP}, services={"www.a.example@eu": DOWN})
    assert status.of("www.a.example", "eu") is DOWN
    assert status.of("api.a.example", "eu") is UP
    assert status.of("www.a.example", "us") is None
