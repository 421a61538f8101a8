"""The page of a drill: all of its figures, a picture, and nothing that could run or come from elsewhere."""

import re
from xml.etree import ElementTree as ET

from gslb.drill.page import page, rows_of
from gslb.drill.report import Drill, judge
from tests.unit.drill.test_report import drill


def made(seen):
    return page(judge(seen), seen, "2026-11-27 04:00 UTC")


def test_it_says_every_figure_and_the_verdict():
    seen = drill("servers")
    text = made(seen)
    assert "every bar held" in text
    for name, value in rows_of(judge(seen)):
        assert name.replace("'", "&#x27;") in text
        assert value.replace("'", "&#x27;") in text
    assert "never left eu" in made(drill(moves_s=None))


def test_its_picture_is_well_formed_and_within_its_bounds():
    picture = re.search(r"<svg.*</svg>", made(drill()), re.DOTALL)[0]
    root = ET.fromstring(picture)  # noqa: S314 - we have written it
    width, height = map(int, root.attrib["viewBox"].split()[2:])
    boxes = [box for box in root.iter() if box.tag.endswith("rect")]
    assert len(boxes) > 20
    for box in boxes:
        assert 0 <= float(box.attrib["x"]) <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width + 1
        assert float(box.attrib["height"]) <= height


def test_nothing_in_it_runs_or_is_fetched():
    text = made(Drill("<script>x</script>", "kill", 10.0, drill().answers, drill().requests, (), "<b>how</b>"))
    assert "<script" not in text
    assert "<b>" not in text
    assert not re.search(r"(src|href)=|url\(|@import|https?:", text)


def test_a_drill_of_nothing_has_a_page_too():
    assert "nothing was asked" in made(Drill("eu", "kill", 5.0, (), (), ()))
