from gslb.model.registering import Registration


def test_ids_are_unique_within_a_pool():
    rows = [Registration("web", "a"), Registration("api", "a"), Registration("web", "a", weight=2)]
    assert [row.key for row in rows] == [("web", "a"), ("api", "a"), ("web", "a")]


def test_what_is_not_said_is_none():
    row = Registration("web", "a")
    words = (row.host, row.port, row.weight, row.max_connections, row.health_check_url, row.timeout_ms, row.protocol)
    assert set(words) == {None}
