"""docs/released.md, where paper, release and this project differ, knows every switch and fact."""

import dataclasses
import json
from pathlib import Path
import re

import pytest

from virst_model.config import CHOICES, BehaviourConfig, behaviour

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "released.md").read_text(encoding="utf-8")
# `behaviour.sampling: middle`, released `random`
SWITCH = re.compile(r"`behaviour\.(\w+): ([^`]+)`(?:, released `([^`]+)`)?")
# "released.md, fact 25", "facts 9, 10", "facts 13-18".
FACTS = re.compile(r"\bfacts? (\d+(?:-\d+)?(?:,? (?:and )?\d+(?:-\d+)?)*)")
LAST_FACT = 39


def rows():
    """The cells of the page's tables, heads and rules left out."""
    for line in PAGE.splitlines():
        if line.startswith("| ") and not line.startswith("| fact |"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def numbers(text):
    """12, 14-16 -> 12, 14, 15, 16."""
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        yield from range(int(first), int(last or first) + 1)


def facts_with_a_row():
    return {number for cells in rows() for number in numbers(cells[0])}


def written(value):
    return json.dumps(value).strip('"')


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(BehaviourConfig)])
def test_every_switch_has_one_row_with_its_values(field):
    found = [found for cells in rows() for found in SWITCH.findall(cells[-1])]
    ((paper, released),) = [values for name, *values in found if name == field]

    assert paper == written(getattr(behaviour("paper"), field))
    assert (released or paper) == written(getattr(behaviour("released"), field))


def test_every_row_has_all_columns():
    assert {len(cells) for cells in rows()} == {2, 5}
    assert all(all(cells[1:2]) and cells[-1] for cells in rows())


def test_every_fact_has_a_row():
    assert facts_with_a_row() == set(range(1, LAST_FACT + 1))


def test_facts_that_code_and_tests_name_have_a_row():
    named = {}
    for folder in ("virst_model", "virst_ros", "tests", "config"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".yaml", ".md"} and path != Path(__file__):
                text = re.sub(r"\s+(?:# )?", " ", path.read_text(encoding="utf-8"))
                for found in FACTS.findall(text):
                    named |= dict.fromkeys(numbers(found), path)

    assert {9, 25} <= named.keys()
    assert not {n: p for n, p in named.items() if n not in facts_with_a_row()}


def test_the_readme_leads_to_the_page():
    assert "(docs/released.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("switch", CHOICES)
def test_another_value_of_a_switch_is_refused_by_name(switch):
    with pytest.raises(ValueError, match=f"{switch} is 'else'; known are {CHOICES[switch][0]}"):
        BehaviourConfig(**{switch: "else"})


def test_every_switch_in_words_has_a_list_of_its_values():
    words = {f.name for f in dataclasses.fields(BehaviourConfig) if f.type is str} - {"name"}

    assert words == set(CHOICES)


@pytest.mark.parametrize("alpha", [0, 9])
def test_alpha_is_at_most_what_a_stream_keeps_of_anchors(alpha):
    with pytest.raises(ValueError, match=rf"alpha is {alpha}, must be 1\.\.8"):
        BehaviourConfig(alpha=alpha)
