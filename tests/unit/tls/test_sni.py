"""Which certificate for which name."""

import pytest

from gslb.tls.sni import Names

NAMES = Names([(("a.example.com", "*.example.com"), "first"), (("B.example.com", "a.example.com"), "second")])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.example.com", "first"),
        ("A.EXAMPLE.com.", "first"),
        ("b.example.com", "second"),
        ("c.example.com", "first"),
        ("c.d.example.com", "first"),
        ("example.com", "first"),
        ("elsewhere.org", "first"),
        ("", "first"),
        (None, "first"),
    ],
)
def test_exact_then_wildcard_then_the_first(name, found):
    assert NAMES.find(name) == found


def test_a_wildcard_is_one_label():
    names = Names([(("www.example.org",), "default"), (("*.example.com",), "wild")])
    assert [names.find(name) for name in ("a.example.com", "a.b.example.com", "example.com")] == [
        "wild", "default", "default",
    ]  # fmt: skip


def test_without_certificates_there_is_none():
    assert Names(()).find("a.example.com") is None
