"""docs/configuration.md says what the models say."""

from pathlib import Path

from gslb.balancing.algorithm import ALGORITHMS
from gslb.config.problems import fields_of
from gslb.config.reference import reference
from gslb.config.schema import ClusterFile, RegionFile
from gslb.health.check import CHECKS
from gslb.steering.policy import POLICIES

PAGE = Path(__file__).resolve().parents[3] / "docs/configuration.md"


def test_the_page_is_the_one_that_is_made():
    assert PAGE.read_text() == reference(), "make it anew: python -m gslb.config.reference > docs/configuration.md"


def test_every_key_and_plug_in_is_on_the_page():
    text = reference()
    for model in (ClusterFile, RegionFile):
        for key, field in fields_of(model).items():
            assert f"| `{key}` |" in text
            assert field.description
    for registry in (POLICIES, ALGORITHMS, CHECKS):
        for name in registry.known():
            assert f"### `{name}`" in text
    for words in ("*required*", "**not built yet**", "duration, 10ms to 1h", "| `30s` |", "`text` or `json`"):
        assert words in text


def test_no_table_is_broken():
    for line in reference().splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|") - 1
            assert cells in {3, 4}, line
