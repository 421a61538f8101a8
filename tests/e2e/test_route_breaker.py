"""A route's breaker over two real workers: it answers at once while all behind it fails, and lets requests in again."""

import time

import pytest

from tests.e2e.test_breakers import Traffic, breakers, region
from tests.support.sandbox import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(120)]
NAME = "route:any/all"


@pytest.fixture
def failing(sandbox):
    rule = "breaker: {failures: 4, open_for: 1s, ramp: 0s}"
    sandbox.edit("eu-west.yaml", "- {match: {}, pool: web}", f"- {{match: {{}}, pool: web, {rule}}}")
    with region(sandbox, "") as found:
        yield sandbox, *found


def test_it_opens_in_every_worker_and_closes_by_probes(failing):
    box, servers, visitors = failing
    for one in servers:
        one.status = 500
    with Traffic(visitors):
        until(lambda: breakers(box)[NAME]["state"] == "open", 10, "open")
    asked = sum(len(one.seen) for one in servers)
    answers = [visitor.get() for visitor in visitors for _ in range(3)]
    assert {one.status for one in answers} <= {503, 500}  # 500: a probe, if it is half-open by now
    assert sum(one.status == 503 for one in answers) >= 4
    assert sum(len(one.seen) for one in servers) - asked <= 2
    assert "failures in a row" in breakers(box)[NAME]["why"]
    assert box.metric('gslb_breaker_opened_total{pool="route:any",server="all"}') >= 1
    for one in servers:
        one.status = 200
    with Traffic(visitors):
        until(lambda: NAME not in breakers(box), 20, "closed")
    begun = time.monotonic()
    assert {visitor.get().status for visitor in visitors for _ in range(10)} == {200}
    assert time.monotonic() - begun < 10
