from gslb.model.limits import ConcurrencyLimit, Limits, RateLimit


def test_every_limit_has_one_name():
    limits = Limits({"a": RateLimit("a", "all", 1, 1.0, 1)}, {"b": ConcurrencyLimit("b", 5)})
    assert limits.names == ("a", "b")
    assert Limits().names == ()
