"""Places of the paper (arXiv 2603.27060) that are easily mixed up, where we name them."""

from collections.abc import Iterator
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("virst_model", "virst_ros", "tests", "config", "docs", "launch")
# "eq. (15)", "eq. (10)-(12), (17)-(19)", "eq. (15)/(16)", "eq. (15) and (16)".
EQUATIONS = re.compile(r"\b[Ee]q\. (\(\d+\)(?:(?:-|/|, | and )\(\d+\))*)")
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
