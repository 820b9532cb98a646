"""`virst-viewer` before a running node: what a page is shown of it, and what reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
import json
from pathlib import Path
import re
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("aiohttp", reason="needs the extra viewer")

from aiohttp import ClientSession
import cv2
import numpy as np
from page import Page, open_page
from patience import LIMIT_S, wait_until
from robot import image, red_square
from test_starts import HEAVY, roots_after

from virst_model.overlay import colour_of
from virst_ros import questioner
from virst_ros.demo.run import main as run_main

SCRIPTED = str(Path(__file__).parents[1] / "fixtures" / "scripted_segment.py")
ADDRESS = re.compile(r"^(http://127\.0\.0\.1:[0-9]+)/$", re.MULTILINE)
FILM_EVERY_S = 0.05


@pytest.fixture
def film(robot):
    """A camera that films a red square, from now until the test's end."""
    over = threading.Event()

    def publish() -> None:
        while not over.wait(FILM_EVERY_S):
            robot.camera.publish(image(red_square(), time.time()))

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def view(start_process):
    """view(test, *arguments) runs `test(page)` on a page of virst-viewer."""

    def run(test: Callable[[Page], Coroutine], *arguments: str) -> None:
        process = start_process("-m", "virst_ros.viewer", "--port", "0", *arguments)
        assert wait_until(lambda: process.popen.poll() is not None or address(process))

        async def visit() -> None:
            async with ClientSession() as client:
                page = await open_page(client, address(process))
                await asyncio.wait_for(test(page), LIMIT_S)

        asyncio.run(visit())
        assert process.stop() == 0

    return run


def address(process) -> str:
    found = ADDRESS.search(process.output)
    return found[1] if found else ""


def square(page: Page) -> np.ndarray:
    """The colour in the middle of the red square of the newest picture: RGB."""
    data = np.frombuffer(page.pictures[-1], np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[50, 40, ::-1].astype(int)


RED = np.array((255, 0, 0))
TINTED = (RED + colour_of(1)) // 2


def test_a_page_shows_the_camera_then_the_mask_and_the_camera_again(start_process, film, view):
    start_process(SCRIPTED)

    async def test(page: Page) -> None:
        await page.until(lambda: page.pictures and np.abs(square(page) - RED).max() < 30)
        assert page.state["queries"] == [] and page.state["title"] == "/virst/overlay"

        await page.tell(do="add", text="the red circle")
        await page.until(lambda: page.said)
        assert page.said == [(True, "accepted")]
        await page.until(lambda: [q["state"] for q in page.state["queries"]] == ["tracking"])
        await page.until(lambda: np.abs(square(page) - TINTED).max() < 30)
        assert page.state["queries"][0]["text"] == "the red circle"
        assert 0 <= page.state["latency_ms"] < 60_000 and page.state["rate_hz"] > 0

        await page.tell(do="remove", id=1)
        await page.until(lambda: not page.state["queries"])
        await page.until(lambda: np.abs(square(page) - RED).max() < 30)

    view(test)


@pytest.mark.skipif(questioner.Ask is None, reason="needs messages with the action Ask")
def test_a_question_is_answered_by_the_node_word_by_word(start_process, film, view, tmp_path):
    gate = tmp_path / "gate"
    model = ("--ros-args", "-p", "model:=pondering")
    start_process(SCRIPTED, *model, env={"SCRIPTED_GATE": str(gate)})

    async def test(page: Page) -> None:
        await page.until(lambda: page.state and not page.state["silent"])
        await page.tell(do="ask", text="What is there?")
        await page.until(lambda: page.state["talk"] and page.state["talk"]["text"])
        talk = {"question": "What is there?", "text": "a", "state": "answering"}
        assert page.state["talk"] == talk
        gate.touch()
        await page.until(lambda: page.state["talk"]["state"] != "answering")
        assert page.state["talk"] == talk | {"text": "a red circle", "state": "answered"}

        await page.tell(do="ask", text="what fails?")
        await page.until(lambda: page.state["talk"]["state"] == "failed")
        assert "scripted" in page.state["talk"]["text"]

    view(test)


def test_what_the_node_refuses_is_said(start_process, film, view):
    start_process(SCRIPTED)

    async def test(page: Page) -> None:
        await page.until(lambda: page.pictures)
        await page.tell(do="add", text="the\nred circle")
        await page.until(lambda: page.said)
        assert not page.said[0][0] and "control character (U+000A)" in page.said[0][1]
        await page.tell(do="remove", id=9)
        await page.until(lambda: page.said[1:])
        assert page.said[1] == (False, "there is no query 9; there are: none")
        await page.tell(do="add", text="the ball")
        await page.until(lambda: page.said[2:])
        assert page.said[2][0] and "ball (try: circle)" in page.said[2][1]

    view(test)


def test_without_a_node_the_page_says_so_until_there_is_one(start_process, view):
    async def test(page: Page) -> None:
        await page.until(lambda: "does the node run?" in page.state.get("trouble", ""))
        await page.tell(do="add", text="the red circle")
        await page.until(lambda: page.said)
        assert page.said == [(False, "no service /virst/set_query: is the node configured?")]

        start_process(SCRIPTED)  # and no camera
        await page.until(lambda: "is the node active, and its camera" in page.state["trouble"])

    view(test)


def test_the_namespace_is_the_nodes(start_process, view):
    start_process(SCRIPTED, "--ros-args", "-r", "__ns:=/front", "-p", "query:=the red circle")

    async def test(page: Page) -> None:
        await page.until(lambda: page.state.get("queries"))
        assert page.state["title"] == "/front/overlay"

    view(test, "--ros-args", "-r", "__ns:=/front")


def test_the_node_draws_only_while_somebody_looks(start_process, ros_node, film, view):
    start_process(SCRIPTED)
    looked = lambda: ros_node.count_subscribers("/virst/overlay/compressed")  # noqa: E731

    async def test(page: Page) -> None:
        await page.until(lambda: page.pictures and looked() == 1)
        # It stalls: nothing is taken, nothing is said to be shown.
        assert await asyncio.to_thread(wait_until, lambda: looked() == 0)
        await page.until(lambda: looked() == 1)
        await page.socket.close()
        assert await asyncio.to_thread(wait_until, lambda: looked() == 0)

    view(test)


def test_a_taken_port_is_one_line(start_process, taken_port):
    process = start_process("-m", "virst_ros.viewer", "--port", str(taken_port))
    assert process.popen.wait(LIMIT_S) == 2
    said = f"error: --port {taken_port}: is taken; name another, or 0 for one that is free"
    assert process.output.strip().splitlines() == [said]


@pytest.fixture
def taken_port():
    """A port that somebody else has."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.slow
def test_make_run_shows_a_scene_and_ends_with_the_signal(start_process, tmp_path, weights):
    words = ("--port", "0", "--out", str(tmp_path / "run"), "--model", str(weights))
    process = start_process("-m", "virst_ros.demo.run", *words)
    assert wait_until(lambda: process.popen.poll() is not None or address(process)), process.output

    async def visit() -> None:
        async with ClientSession() as client:
            page = await open_page(client, address(process))
            await asyncio.wait_for(page.until(lambda: page.pictures), LIMIT_S)
            await page.until(lambda: page.state["queries"])

    asyncio.run(visit())
    assert process.stop() == 0
    logs = {path.stem for path in (tmp_path / "run").glob("*.log")}
    assert logs == {"virst-segment", "virst-camera", "virst-viewer"}


@pytest.mark.parametrize("words", [["--topic", "/x"], ["--port", "70000"], ["--scene", "sea"]])
def test_make_run_refuses_what_it_cannot_do(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run_main(words)
    assert ended.value.code == 2
    assert json.dumps(words[1])[1:-1] in capsys.readouterr().err


def test_the_program_needs_no_torch():
    assert not roots_after("import virst_ros.viewer") & HEAVY
