"""`virst live` as a program: a folder of pictures on a page, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
import re
import signal
import subprocess
import sys

import pytest

pytest.importorskip("aiohttp", reason="needs the extra viewer")

from aiohttp import ClientSession
import cv2
import numpy as np
from page import open_page
from patience import LIMIT_S, wait_until
from test_front_door import examples

from virst_model.arguments import Parser
from virst_viewer import live
from virst_viewer.live import main

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from virst_viewer.live import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def pictures(tmp_path) -> str:
    """Eight noisy pictures in a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for index in range(8):
        picture = noise.integers(0, 255, (48, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    return str(folder)


@pytest.mark.slow
def test_a_folder_is_shown_with_its_query_until_the_signal(pictures, weights, tmp_path):
    words = ["--source", pictures, "--model", str(weights), "--query", "the red circle"]
    log = tmp_path / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words, "--port", "0", "--engine", "torch"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        said = lambda: re.match(r"(http://127\.0\.0\.1:[0-9]+)/\n", log.read_text())  # noqa: E731
        assert wait_until(lambda: process.poll() is not None or said())

        async def visit() -> None:
            async with ClientSession() as client:
                page = await open_page(client, said()[1])
                await asyncio.wait_for(page.until(lambda: page.pictures), LIMIT_S)
                assert [q["text"] for q in page.state["queries"]] == ["the red circle"]
                assert page.state["title"] == pictures

        asyncio.run(visit())
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert log.read_text().count("\n") == 1
    finally:
        process.kill()
        process.wait()


def line(capsys) -> str:
    """What is said on stderr: one line."""
    (said,) = capsys.readouterr().err.strip().splitlines()
    return said


def test_a_source_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["--source", str(tmp_path / "none.mp4")]) == 2
    said = line(capsys)
    assert said.startswith("error: ") and "none.mp4" in said


@pytest.mark.parametrize("query, why", [("", "empty"), ("a\nb", "control character")])
def test_a_query_that_is_none_is_one_line(pictures, weights, capsys, query, why):
    words = ["--source", pictures, "--model", str(weights), "--engine", "torch"]
    assert main([*words, "--query", query]) == 2
    said = line(capsys)
    assert said.startswith("error: --query: ") and why in said


def test_a_token_that_cannot_be_used_is_said_before_the_model_is_loaded(tmp_path, capsys):
    (tmp_path / "token").write_text("short")
    assert main(["--source", "0", "--token-file", str(tmp_path / "token")]) == 2
    assert "is no token" in line(capsys)


class ParsedError(Exception):
    """An example was understood."""


def test_every_example_of_the_help_can_be_typed(monkeypatch):
    parse = Parser.parse_args

    def stop(self: Parser, typed: list[str]) -> None:
        parse(self, typed)
        raise ParsedError

    monkeypatch.setattr(Parser, "parse_args", stop)
    typed = examples(live.__doc__, "live")
    assert typed
    for words in typed:
        with pytest.raises(ParsedError):
            main(words)
