from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import annotated_types
import pytest

from gslb.errors import UnknownName
from gslb.model import Candidate, Client, Location, Region, State
from gslb.registry import Registry
from gslb.steering import policy
from gslb.steering.policy import POLICIES

PAGE = (Path(__file__).parents[3] / "docs" / "steering.md").read_text()


def test_the_policies() -> None:
    assert set(POLICIES.known()) >= {"nearest", "geo", "failover", "weighted", "limit"}


def test_a_typo_names_what_is_known() -> None:
    with pytest.raises(UnknownName, match=r"unknown policy 'nearst'; did you mean 'nearest'\?.*failover, geo, limit"):
        POLICIES.get("nearst")


def bounds(hint: Any) -> str:
    """The bounds of an option as the page writes them: its own, or those of a dictionary's values."""
    for inner in (hint, *get_args(hint)):
        marks = getattr(inner, "__metadata__", ())
        low = [mark.ge for mark in marks if isinstance(mark, annotated_types.Ge)]
        high = [mark.le for mark in marks if isinstance(mark, annotated_types.Le)]
        if low and high:
            return f"{low[0]:.9g} to {high[0]:.9g}"  # typing may give an equal hint: 0 for 0.0
    words = get_args(hint)
    return ", ".join(words) if words and all(isinstance(word, str) for word in words) else ""


def default(field: dataclasses.Field[Any]) -> str:
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    return {"{}": "{}", "()": "[]"}.get(str(value), str(value))


@pytest.mark.parametrize("name", POLICIES.known())
def test_the_page_has_every_option_as_the_code_has_it(name: str) -> None:
    section = re.search(rf"^## `{name}`\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"docs/steering.md has no section of {name}"
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in re.findall(r"^\| `.*", section[1], re.MULTILINE)]
    cls = POLICIES.get(name)
    hints = get_type_hints(cls, include_extras=True)
    assert rows == [
        [f"`{field.name}`", f"`{default(field)}`", bounds(hints[field.name])] for field in dataclasses.fields(cls)
    ]


def test_the_pages_example_is_a_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    example = PAGE.split("## Adding a policy")[1].split("```python\n")[1].split("```")[0]
    registry: Registry[Any] = Registry("policy", "gslb.steering.policies")
    monkeypatch.setattr(policy, "POLICIES", registry)
    exec(compile(example, "docs/steering.md", "exec", dont_inherit=True), {"__name__": "example"})  # noqa: S102 - the page is ours
    longest = registry.known()["longest"]()
    places = tuple(Candidate(Region(name, Location(0, 0), (), (), ""), State.UP) for name in ("eu", "ap-south"))
    assert [each.region.name for each in longest.apply(places, None, Client(1)).candidates] == ["ap-south", "eu"]
