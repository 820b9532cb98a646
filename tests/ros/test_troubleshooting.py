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
    for package in ("virst_ros", "virst_model"):
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


@pytest.mark.parametrize("module", ["silence", "troubles", "query_book"])
def test_every_sentence_of_these_has_a_row(module):
    """Of their texts that are sentences, not names: four words or more."""
    source = ast.parse((ROOT / "virst_ros" / f"{module}.py").read_text(encoding="utf-8"))
    docstrings = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(source)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    sentences = [
        node.value
        for node in ast.walk(source)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and len(node.value.split()) >= 4
        and node.value not in docstrings
    ]
    assert sentences
    pieces = [piece for row in ROWS for piece in quoted(row) if len(piece.split()) >= 3]
    assert [s for s in sentences if not any(piece in s for piece in pieces)] == []
