"""Places of the paper (arXiv 2603.27060), rules and facts, where we name them by number."""

from collections.abc import Iterator
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("virst_model", "virst_ros", "tests", "config", "docs", "launch")
# "eq. (15)", "eq. (10)-(12), (17)-(19)", "eq. (15)/(16)", "eq. (15) and (16)".
EQUATIONS = re.compile(r"\b[Ee]q\. (\(\d+\)(?:(?:-|/|, | and )\(\d+\))*)")
# "Rule 4", "rules 4 and 11 to 14", "test_rule_4_"; "facts 9, 10", "facts 13-18", "facts 1 and 4".
NUMBERS = r"(\d+(?:(?:-| to |, (?:and )?| and )\d+)*)"
RULES = re.compile(rf"(?:\b[Rr]ules? |\btest_rule_){NUMBERS}")
FACTS = re.compile(rf"\b[Ff]acts? {NUMBERS}")
# The lists, and what begins an entry: "4. **Early grounding.**", "| 1, 30 | videos of |".
PAGES = {
    "docs/stream.md": (RULES, re.compile(r"^(\d+)\. \*\*", re.MULTILINE)),
    "docs/released.md": (FACTS, re.compile(r"^\| (\d+(?:, \d+)*) \|", re.MULTILINE)),
}
# Who may name an equation: training by (13) to (16), inference by (10) to (12), and memory, in
# either, by (17) to (19).
TRAINING = (
    "virst_model/train/",
    "virst_model/weights/",
)
EITHER = ("virst_model/config.py", "docs/released.md", "tests/")
TDAU = ("anchors", "memory", "segmenter")


def texts() -> Iterator[tuple[str, str]]:
    """Path from the root, and text with its lines joined, of all that may cite the paper."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    for path in [*paths, *ROOT.glob("*.md")]:
        if path.suffix in {".py", ".md", ".yaml"} and path != Path(__file__):
            yield (
                path.relative_to(ROOT).as_posix(),
                re.sub(r"\s+(?:# )?", " ", path.read_text(encoding="utf-8")),
            )


def equations(text: str) -> set[int]:
    """Numbers of the equations that a text names, those inside a range, too."""
    found: set[int] = set()
    for cited in EQUATIONS.findall(text):
        for first, last in re.findall(r"\((\d+)\)(?:-\((\d+)\))?", cited):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def numbers(pattern: re.Pattern, text: str) -> set[int]:
    """Numbers of the rules or facts that a text names, those inside a range, too."""
    named: set[int] = set()
    for cited in pattern.findall(text):
        for first, last in re.findall(r"(\d+)(?:(?:-| to )(\d+))?", cited):
            named |= set(range(int(first), int(last or first) + 1))
    return named


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("eq. (12)", {12}),
        ("Sec. 3.4, eq. (10)-(12), (17)-(19); x (3)", {10, 11, 12, 17, 18, 19}),
        ("Eq. (15) and (16): eq. (14)", {14, 15, 16}),
    ],
)
def test_equations_are_read_in_every_way_of_naming_them(text, numbers):
    assert equations(text) == numbers


def test_training_is_not_cited_for_inference_nor_inference_for_training():
    found = {path: equations(text) for path, text in texts() if equations(text)}
    assert {12, 14} <= set().union(*found.values())
    for path, numbers in found.items():
        if path.startswith(EITHER):
            continue
        wrong = {10, 11, 12} if path.startswith(TRAINING) else {13, 14, 15, 16}
        if path == "virst_model/train/order.py":
            wrong = set()  # It names the order of inference, too.
        assert not numbers & wrong, f"{path} cites {sorted(numbers & wrong)}"


@pytest.mark.parametrize("module", TDAU)
def test_the_anchor_updater_is_section_3_4(module):
    text = dict(texts())[f"virst_model/model/{module}.py"]
    assert set(re.findall(r"Sec\. (3\.\d)", text)) == {"3.4"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rules 4 and 11 to 14 of", {4, 11, 12, 13, 14}),
        ("def test_rule_4_grounds_4_frames", {4}),
        ("# Rule 7. 8 frames", {7}),
        ("rules 2 and 3, and the schedule", {2, 3}),
    ],
)
def test_rules_are_read_in_every_way_of_naming_them(text, expected):
    assert numbers(RULES, text) == expected


def listed(page: str) -> set[int]:
    """Numbers of the entries of a page."""
    entries = PAGES[page][1].findall((ROOT / page).read_text(encoding="utf-8"))
    return {int(number) for entry in entries for number in entry.split(", ")}


@pytest.mark.parametrize("page", PAGES)
def test_numbered_rules_and_facts_are_on_the_page_that_the_text_leads_to(page):
    assert listed(page) == set(range(1, max(listed(page)) + 1))
    citing = {path: text for path, text in texts() if path != page}
    citing = {path: text for path, text in citing.items() if numbers(PAGES[page][0], text)}
    assert len(citing) > 3
    for path, text in citing.items():
        unknown = numbers(PAGES[page][0], text) - listed(page)
        assert not unknown, f"{path} names {sorted(unknown)}, which {page} has not"
        assert Path(page).name in text, f"{path} names numbers and not {page}"


def test_each_rule_of_the_stream_is_named_by_a_test():
    tests = [text for path, text in texts() if path.startswith("tests/")]
    assert set().union(*(numbers(RULES, text) for text in tests)) == listed("docs/stream.md")
