"""What a server is, over every combination of what is said of it."""

from itertools import product

import pytest

from gslb.health.standing import Said, standing
from gslb.model import State

UP, UNKNOWN, DRAINING, DOWN = State.UP, State.UNKNOWN, State.DRAINING, State.DOWN
ALL = list(product((UP, UNKNOWN, DOWN), (False, True), (None, DRAINING, DOWN), (None, UP, DRAINING, DOWN)))


@pytest.mark.parametrize(("checks", "maintenance", "agent", "forced"), ALL)
def test_every_combination(checks, maintenance, agent, forced):
    """Written the other way round than the table: what has to be true for each state."""
    state = standing(Said(checks, maintenance, agent, forced))
    dead, leaving = DOWN in {checks, agent}, maintenance or agent is DRAINING
    assert (state is DOWN) == (forced is DOWN or (forced is None and dead))
    assert (state is DRAINING) == (forced is DRAINING or (forced is None and not dead and leaving))
    assert (state is UP) == (forced is UP or (forced is None and not dead and not leaving and checks is UP))
    assert (state is UNKNOWN) == (forced is None and not dead and not leaving and checks is UNKNOWN)


def test_an_operator_is_above_all():
    assert standing(Said(DOWN, True, DOWN, UP)) is UP


def test_of_nothing_said_it_is_up():
    assert standing(Said()) is UP
