"""Letters of shapes mean one thing each: docs/architecture.md and features.py hold the one key."""

from collections.abc import Iterator
from pathlib import Path
import re
import tokenize

from virst_model.model import features

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# "| H W | height and width |" and "    H W  height and width".
ROW = re.compile(r"^\| ([A-Za-z](?: [A-Za-z])?) \| (.+) \|$", re.MULTILINE)
LINE = re.compile(r"^    ([A-Za-z](?: [A-Za-z])?)  (.+)$", re.MULTILINE)
# The shape at the end of a name, as in frame_HW3; it has a capital, and so have no other names.
SHAPE = re.compile(r"_?[a-z][a-z0-9_]*_(?=[a-z0-9]*[A-Z])([A-Za-z0-9]+)")


def shapes() -> Iterator[tuple[str, str]]:
    """Path and shape of every name that has one."""
    for folder in ("virst_model", "virst_ros", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            with tokenize.open(path) as lines:
                for token in tokenize.generate_tokens(lines.readline):
                    shape = SHAPE.fullmatch(token.string)
                    if token.type == tokenize.NAME and shape:
                        yield path.relative_to(ROOT).as_posix(), shape[1]


def key() -> dict[str, str]:
    return dict(LINE.findall(features.__doc__))


def test_the_page_and_the_module_have_the_same_key():
    assert key() == dict(ROW.findall(PAGE))
    assert {"B", "H W", "g"} <= key().keys()


def test_no_letter_stands_for_two_things():
    letters = "".join(key()).replace(" ", "")
    assert len(set(letters)) == len(letters)
    assert len(set(key().values())) == len(key())


def test_names_have_no_other_letters():
    letters = set("".join(key())) - {" "}
    found = set(shapes())
    assert ("virst_model/model/fusion.py", "BTCgg") in found
    known = letters | set("0123456789")
    unknown = {(path, shape) for path, shape in found if not set(shape) <= known}
    assert not unknown
