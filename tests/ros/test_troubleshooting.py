"""docs/troubleshooting.md has what the node says, in its words."""

from __future__ import annotations

import ast
from pathlib import Path
import re

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from virst_ros.diagnosis import FAULTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = [row for row in PAGE.splitlines() if row.startswith("| `")]


def quoted(row: str) -> list[str]:
    """What the first cell quotes, piece by piece: dots stand for what the code puts in."""
    texts = re.findall("`([^`]+)`", row.split(" | ")[0])
    pieces = [piece.strip(" :.") for text in texts for piece in text.split("...")]
    return [piece for piece in pieces if piece]


def said() -> str:
    """All texts of the code, parts of f-strings apart."""
    texts = []
    for package in ("virst_ros", "virst_model", "virst_viewer"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = isinstance(node, ast.FunctionDef | ast.ClassDef)
                texts += [node.name] if named else []
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\0".join(texts)


def test_every_row_quotes_what_the_code_says():
    texts = said()
    pieces = [piece for row in ROWS for piece in quoted(row)]
    assert len(pieces) > 30
    assert [piece for piece in pieces if piece not in texts] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_that_is_counted_has_a_row(fault):
    assert any(fault in quoted(row) for row in ROWS)


# Of the node's own files those that say nothing: programs of their own, and descriptions.
SILENT = {"query", "parameters", "verbs"}
# What `configure` and images can bring up from below.
BELOW = (
    *("encodings", "compressed", "checkpoints/device", "checkpoints/folder", "checkpoints/load"),
    *("checkpoints/room", "model/packages", "stream/captured", "stream/compiled"),
    *("stream/engine", "stream/graphs", "stream/grounder", "queries/book"),
    *(f"sources/{name}" for name in ("bag", "live", "named", "playback")),
)
SPEAKERS = [
    *(path for path in sorted((ROOT / "virst_ros").glob("*.py")) if path.stem not in SILENT),
    *(ROOT / "virst_model" / f"{name}.py" for name in BELOW),
]
# Texts that are no messages, or that no node can come to.
NOT_SAID = {
    "...; jpeg compressed bgr8",  # a format
    "mono8; png compressed ",  # another
    "tiny, of the package",  # within a message
    "; give a folder with ... and ... that training or an import wrote, or no folder for the "
    "packaged model",  # after each message about weights
    "SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation sam2==1.1.0",  # within one
    "pip install 'hydra-core>=1.3.2' 'iopath>=0.1.10'",
    "pip install wheel; ...",
    "pip install 'virst_ros[onnx]'",  # within one
    "of what runs for every frame; auto: onnx on a CPU where onnxruntime is installed; graphs: "
    "CUDA graphs of a stream, on a GPU",  # a help
    *(
        "say dtype bfloat16 (... GiB)",
        "say quantize int8 where it is off, or take a machine with more",
    ),  # in one
    "a model that was loaded with quantize is not saved: load it without",  # no node saves
    "No such file or directory",  # the system's words; said as `no such file`
    "no /dev/video*",  # within a message
    "a video file, a folder of images, an image, or a bag (folder, .db3, .mcap)",  # of --help
    "of a bag with images on several",
    "... is ... ..., not as laid out",  # of writing weights
    "query ... must wait: query ... is being grounded",  # the session asks one after the other
}


# What a page says, and what is said on it.
PAGES = [
    *(ROOT / "virst_model" / "live" / f"{name}.py" for name in ("film", "source")),
    *(path for path in sorted((ROOT / "virst_viewer").glob("*.py")) if path.stem not in SILENT),
]
NOT_SAID_BY_PAGES = {
    "a wish of a browser",  # above a traceback in the log
    "0: one that is free; default: %(default)s",  # helps
    "its one line is the token, also on this machine; without it one is drawn where other "
    "machines are let in",
    "what this machine is called in the browser, as robot.local",
    "where it listens: 0.0.0.0 lets other machines in, who know a token; default: %(default)s",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",  # a header
}
# What the tools read, and how they end.
TOOLS = [
    ROOT / "virst_model" / f"{name}.py"
    for name in (
        *("image_file", "text_file", "configure", "checkpoints/saved", "checkpoints/released"),
        *(f"data/{path.stem}" for path in sorted((ROOT / "virst_model/data").glob("*.py"))),
        *("evaluate/run", "evaluate/results", "evaluate/predict", "evaluate/predictions"),
        *("evaluate/score", "evaluate/slots", "train/history", "train/snapshots", "train/loop"),
        *("train/chain", "train/state"),
    )
    # Programs' own help and progress.
    if name not in ("data/__main__", "data/check", "data/photographs", "data/write_stories")
]
NOT_SAID_BY_TOOLS = {
    *("a sine and a cosine", "a sine and a cosine of x and y", "heads of SAM 2's decoder"),
    *("its first window", "its memory_dim", "its num_heads", "llm.hidden / llm.heads"),
    *("pairs that are rotated", "true or false", "the ... of the ..."),
    *("... steps in slots 1/2/3", "the ... preset's steps", "... does not train in both"),
    " (docs/datasets.md)",
    "... annotators: one person's masks exclude each other (logit above 0, the highest wins); J "
    "and F an object over all frames, then the mean.",
}


def words(text: str) -> int:
    return len(re.findall(r"[A-Za-z]{2,}", text))


def messages(path: Path) -> set[str]:
    """The texts of a file that are sentences, of three words or more; dots for what is put in."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in formatted for part in node.values}
    inside |= {id(n.format_spec) for n in nodes if isinstance(n, ast.FormattedValue)}
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = [
        "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        for node in formatted
        if id(node) not in inside
    ] + [
        re.sub(r"\{[^{}]*\}|%[sd]", "...", node.value)
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in inside | docstrings
    ]
    patterns = {text for text in texts if text.startswith("(?")}
    return {text for text in texts if words(text) >= 3 and " " in text} - patterns


def answers(quote: str, message: str) -> bool:
    """Whether the row's words are the message's, in their order.

    The row may have words before them, where the message stands within another; three words or
    more have to be the message's.
    """
    pieces = [piece.strip(" :.") for piece in quote.split("...")]
    return any(
        words(" ".join(pieces[first:])) >= 3
        and re.search(".*".join(map(re.escape, pieces[first:])), message, re.S)
        for first in range(len(pieces))
    )


def quotes() -> list[str]:
    return [quote for row in ROWS for quote in re.findall("`([^`]+)`", row.split(" | ")[0])]


@pytest.mark.parametrize("path", [*SPEAKERS, *PAGES, *TOOLS], ids=lambda path: path.stem)
def test_every_message_has_a_row(path):
    """Of a file that says nothing there is nothing to find; all together say many things."""
    said = messages(path) - NOT_SAID - NOT_SAID_BY_PAGES - NOT_SAID_BY_TOOLS
    rows = quotes()
    assert [text for text in sorted(said) if not any(answers(q, text) for q in rows)] == []


def test_messages_are_found():
    found = {text for path in SPEAKERS for text in messages(path)}
    assert len(found - NOT_SAID) > 50
    assert found >= NOT_SAID
    of_tools = {text for path in TOOLS for text in messages(path)}
    assert len(of_tools - NOT_SAID_BY_TOOLS) > 100
    assert of_tools >= NOT_SAID_BY_TOOLS
    assert "... frames in a row failed (failed_frames_limit), the last by ..." in found
    assert "the image size changed from ...x... to ...x..." in found


def test_a_row_of_other_words_answers_nothing():
    message = "the stamp stands still at ...: taking the time of arrival"
    assert answers("the stamp stands still at ...: taking the time of arrival", message)
    assert not answers("the stamp jumped back by ... s to ...", message)
    assert not answers("taking the time of arrival ... stamp stands", message)
    assert not answers("...", message)
