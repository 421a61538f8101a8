"""What servers may say of their load, and all the ways in which they say it wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.balancing.loads import ENTRIES_MAX, REPORT_BYTES_MAX, LoadReport, parse_report

WHOLE = LoadReport(cpu=0.3, memory=0.8, application=0.5, rate=120.5, errors=2.0)
TEXT = b"cpu_utilization=0.3, mem_utilization=0.8, application_utilization=0.5, rps_fractional=120.5, eps=2"
JSON = {name: float(number) for name, number in (entry.split("=") for entry in TEXT.decode().split(", "))}
CAMELS = {
    "cpuUtilization": 0.3,
    "memUtilization": 0.8,
    "applicationUtilization": 0.5,
    "rpsFractional": "120.5",
    "eps": 2,
}


@pytest.mark.parametrize(
    ("value", "report"),
    [
        (b"TEXT " + TEXT, WHOLE),
        (b"  TEXT " + TEXT.replace(b" ", b"") + b" ", WHOLE),
        (b"TEXT cpu_utilization:0.3", LoadReport(cpu=0.3)),
        (b"TEXT cpu_utilization=1.7", LoadReport(cpu=1.7)),
        (b"TEXT rps_fractional=1e3", LoadReport(rate=1000.0)),
        (b"TEXT cpu_utilization=0.3, named_metrics.queue=99, utilization.gpu=7", LoadReport(cpu=0.3)),
        (b"JSON " + json.dumps(JSON).encode(), WHOLE),
        (b"JSON " + json.dumps(CAMELS | {"namedMetrics": {"cpu_utilization": 9}}).encode(), WHOLE),
        (b'JSON  {"eps": 0}', LoadReport(errors=0.0)),
        (b"TEXT named_metrics.queue=99", None),
        (b"JSON {}", None),
    ],
)
def test_reports_that_are_right(value, report):
    assert parse_report(value) == (report, 0)


@pytest.mark.parametrize(
    ("value", "report"),
    [
        *((b"TEXT eps=1, cpu_utilization=" + bad, LoadReport(errors=1.0)) for bad in (
            b"", b"abc", b"-1", b"+1", b"nan", b"inf", b"Infinity", b"1e999", b"0x1", b"1_0", b"100.1", b"1 2", b".5",
            b"0.3%", b"\xb2", b"9" * 400,
        )),
        (b"TEXT cpu_utilization=0.3, cpu_utilization=0.9", LoadReport(cpu=0.3)),
        (b"TEXT rps_fractional=1e10, eps=1", LoadReport(errors=1.0)),
        *((b'JSON {"eps": 1, "cpu_utilization": ' + bad + b"}", LoadReport(errors=1.0)) for bad in (
            b"null", b"true", b'"high"', b"[]", b"{}", b"-1", b"NaN", b"Infinity", b"1e999", b"9" * 400, b'"nan"',
        )),
        (b'JSON {"cpu_utilization": 0.3, "cpuUtilization": 0.9}', LoadReport(cpu=0.3)),
    ],
)  # fmt: skip
def test_a_wrong_value_is_ignored_and_counted(value, report):
    assert parse_report(value) == (report, 1)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"TEXT", b"TEXT ", b"TEXT cpu_utilization", b"TEXT cpu_utilization=0.3,", b"text cpu_utilization=0.3",
        b"cpu_utilization=0.3", b"BIN CZqZmZmZmbk/", b"JSON", b"JSON ", b"JSON 1", b"JSON null", b"JSON {",
        b'JSON [["cpu_utilization", 0.3]]', b'JSON {"cpu_utilization": 0.3} x', b"JSON " + b"[" * 4000,
        b'JSON {"a":' * 400, b"\xff\xfe", b"TEXT cpu_utilization=0.3" + b" " * REPORT_BYTES_MAX,
        b"TEXT " + b",".join(b"a%d=1" % i for i in range(ENTRIES_MAX + 1)),
        b"JSON " + json.dumps({f"a{i}": 1 for i in range(ENTRIES_MAX + 1)}).encode(), b"JSON " + b"9" * 4050,
    ],
)  # fmt: skip
def test_what_is_no_report(value):
    assert parse_report(value) == (None, 1)


@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)),
    st.sampled_from([b"", b"TEXT ", b"JSON "]),
)
def test_nothing_raises(value, form):
    load, wrong = parse_report(form + value)
    assert wrong >= 0
    assert load is None or load.utilisation(1.0) is None or 0 < load.utilisation(1.0) <= 100


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    )
)
def test_no_json_raises(value):
    load, wrong = parse_report(b"JSON " + json.dumps({"cpu_utilization": value, "eps": 1}).encode())
    assert load is not None or wrong
    assert load is None or load.errors == 1.0


@pytest.mark.parametrize(
    ("load", "busy"),
    [
        (LoadReport(cpu=0.3, memory=0.9, application=0.7), 0.7),
        (LoadReport(cpu=0.3, memory=0.9), 0.45),
        (LoadReport(cpu=0.6, memory=0.9), 0.6),
        (LoadReport(memory=0.9), 0.45),
        (LoadReport(cpu=0.3, application=0.0), 0.3),
        (LoadReport(cpu=0.0), None),
        (LoadReport(rate=5.0), None),
    ],
)
def test_utilisation(load, busy):
    assert load.utilisation(0.5) == (pytest.approx(busy) if busy else None)
