"""What is stored and what is believed: encode and decode are inverse, and decode takes nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.metrics import IGNORED
from gslb.state.store import NUMBER_MAX, REPORT_MAX_BYTES, Report, decode, encode

numbers = st.integers(0, NUMBER_MAX)
nodes = st.from_regex(r"[A-Za-z0-9._:@/-]{1,40}", fullmatch=True)
words = st.text(max_size=8)
reports = st.one_of(
    st.builds(Report, st.just("region"), nodes, numbers, numbers,
              st.fixed_dictionaries({"region": words, "state": words}, optional={"servers": st.integers()})),
    st.builds(Report, st.just("view"), nodes, numbers, numbers,
              st.fixed_dictionaries({"regions": st.dictionaries(words, words, max_size=4)})),
)  # fmt: skip


@given(reports)
def test_what_is_encoded_decodes(report):
    assert decode(encode(report), report.kind, report.node) == report


@given(reports, nodes)
def test_a_report_counts_only_under_its_own_name(report, node):
    found = decode(encode(report), report.kind, node)
    assert found == (report if node == report.node else "name")
    assert decode(encode(report), "view" if report.kind == "region" else "region", report.node) == "name"


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_report(data):
    assert decode(data, "view", "edge-1") in IGNORED


@given(reports, st.data())
def test_a_changed_field_is_judged_by_its_type(report, data):
    found = json.loads(encode(report))
    field = data.draw(st.sampled_from(sorted(found)))
    found[field] = data.draw(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.lists(st.none()))
    changed = decode(json.dumps(found).encode(), report.kind, report.node)
    assert changed in IGNORED or changed == report


@pytest.mark.parametrize("payload", [{}, {"regions": []}, {"regions": {"eu": ["up"]}}, {"regions": {"eu": {}}}])
def test_a_view_maps_names_to_words(payload):
    whole = {"schema": 1, "kind": "view", "node": "n", "incarnation": 1, "sequence": 1}
    assert decode(json.dumps({**whole, "payload": payload}).encode(), "view", "n") == "shape"
    assert isinstance(decode(json.dumps({**whole, "payload": {"regions": {"eu": "up"}}}).encode(), "view", "n"), Report)


@pytest.mark.parametrize(("changed", "wrong"), [
    ({"schema": 2}, "schema"), ({"kind": "region"}, "name"), ({"node": "other"}, "name"), ({"sequence": -1}, "number"),
    ({"incarnation": "1"}, "number"), ({"payload": []}, "shape"),
    ({"payload": {"regions": "x" * REPORT_MAX_BYTES}}, "size"),
])  # fmt: skip
def test_what_is_wrong_is_said(changed, wrong):
    whole = {"schema": 1, "kind": "view", "node": "n", "incarnation": 1, "sequence": 1, "payload": {"regions": {}}}
    assert decode(json.dumps({**whole, **changed}).encode(), "view", "n") == wrong
