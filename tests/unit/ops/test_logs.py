"""Structured logs: one line a record whatever it holds, in both forms."""

import io
import json
import logging
import subprocess
import sys
import warnings
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.ops import logs
from gslb.ops.logs import JsonFormatter, TextFormatter

AT = 1_700_000_000.5  # 22:13:20 UTC


def record(message="region %s is down", *args, name="gslb.control", level=logging.INFO, exc_info=None, **extra):
    made = logging.makeLogRecord(
        {"name": name, "levelno": level, "levelname": logging.getLevelName(level), "msg": message, "args": args,
         "exc_info": exc_info, **extra}
    )  # fmt: skip
    made.created = AT
    return made


def text(*words, **more):
    return TextFormatter().format(record(*words, **more))


def parsed(*words, **more):
    line = JsonFormatter("edge-1").format(record(*words, **more))
    assert "\n" not in line
    return json.loads(line)


def test_text_reads_like_a_sentence():
    assert text("region %s is %s", "eu-west", "down", why="3 of 3 views: down", pid=7) == (
        '22:13:20 INFO control region eu-west is down why="3 of 3 views: down" pid=7'
    )


def test_json_has_every_fact_as_a_member():
    facts = {"why": "no route", "age_s": 1.5, "ok": True, "nothing": None, "node": "extra", "nan": float("nan")}
    found = parsed("region %s is down", "eu-west", **facts)
    assert datetime.fromisoformat(found.pop("ts")).timestamp() == AT
    assert found.pop("pid") > 0
    assert found == {
        "level": "info", "logger": "gslb.control", "node": "edge-1", "msg": "region eu-west is down", "why": "no route",
        "age_s": 1.5, "ok": True, "nothing": None, "node_": "extra", "nan": "nan",
    }  # fmt: skip


def test_a_traceback_is_kept():
    try:
        raise ValueError("inner")  # noqa: TRY301 - made to be caught
    except ValueError:
        caught = sys.exc_info()
    assert parsed("failed", exc_info=caught)["exception"].endswith("ValueError: inner")
    assert text("failed", exc_info=caught).splitlines()[-1] == "ValueError: inner"


@given(st.text(), st.text())
def test_no_text_breaks_or_forges_a_line(message, value):
    line = text("%s", message, why=value)
    assert len(line.splitlines()) == 1
    line.encode()
    assert parsed("%s", message, why=value)["msg"] == logs._line(message)


def test_length_is_bounded():
    assert len(text("%s", "x" * 100_000, why="y" * 100_000)) < 3 * logs.VALUE_MAX_CHARACTERS


@pytest.fixture
def kept():
    """Puts logging back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("gslb")
    before = list(root.handlers), root.level, ours.level, logging.raiseExceptions
    yield
    root.handlers[:], root.level, ours.level, logging.raiseExceptions = before[0], *before[1:]
    logging.captureWarnings(capture=False)


def test_configuring_again_replaces_only_our_own(kept, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    others = len(logging.getLogger().handlers)
    logs.configure("json", "info", "edge-1")
    logs.configure("text", "debug", "edge-1")
    assert len(logging.getLogger().handlers) == others + 1
    logging.getLogger("gslb.node").debug("heard")
    logging.getLogger("aiohttp").info("not heard")
    logging.getLogger("aiohttp").warning("heard too")
    lines = stderr.getvalue().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["DEBUG node heard", "WARNING aiohttp heard too"]


def test_warnings_of_python_are_logged(kept, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("json", "error", "edge-1")
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old" in json.loads(stderr.getvalue())["msg"]


@pytest.mark.parametrize(("style", "level"), [("xml", "info"), ("text", "loud")])
def test_an_unknown_word_is_refused(kept, style, level):
    with pytest.raises(ValueError, match=r"xml|LOUD"):
        logs.configure(style, level, "edge-1")


def test_a_log_that_cannot_be_written_stops_nothing():
    code = (
        "import logging, os; from gslb.ops import logs; logs.configure('text', 'info', 'n'); "
        "os.close(2); logging.getLogger('gslb').error('lost'); print('alive')"
    )
    # Python itself ends with 120 where it can't flush stderr at its end
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n"
