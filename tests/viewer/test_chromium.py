"""The page in a browser, with the packaged model before a scene whose truth is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
import threading

from chromium import Browser, missing
import cv2
from fake_source import FakeSource
import numpy as np
from page import serving
import pytest
from standing_scene import StandingScene

from virst_model.watching import Line

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
]


@pytest.fixture
def serve() -> Iterator[Callable]:
    """serve(source, guard) -> the page's address, of a server on a thread; until the test ends."""
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, threading.Thread]] = []

    def start(source, guard=None) -> str:
        url: list[str] = []
        ready = threading.Event()

        async def run() -> None:
            over = asyncio.Event()
            async with serving(source, guard) as server:
                url.append(server.url)
                ends.append((asyncio.get_running_loop(), over, threading.current_thread()))
                ready.set()
                await over.wait()

        threading.Thread(target=lambda: asyncio.run(run())).start()
        ready.wait()
        return url[0]

    yield start
    for loop, over, thread in ends:
        loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.fixture
def browse(tmp_path) -> Iterator[Callable[[str], Browser]]:
    """browse(url) -> a browser that has opened it."""
    opened: list[Browser] = []

    def start(url: str) -> Browser:
        browser = Browser(tmp_path / f"profile{len(opened)}")
        opened.append(browser)
        browser.driver.get(url)
        return browser

    yield start
    for browser in opened:
        browser.close()


def marked(browser: Browser, film: StandingScene) -> np.ndarray:
    """Where the picture is another than the camera's, below the captions: bool (H, W).

    A mask tints; what JPEG does is less than that, or as thin as an edge.
    """
    changed = np.abs(browser.picture().astype(int) - film.frame_HW3).max(-1) > 20
    changed[:60] = False
    square = np.ones((5, 5), np.uint8)
    return cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, square) > 0


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / max(1, np.count_nonzero(one | other))


def test_a_person_asks_sees_asks_for_another_removes_it_and_asks_in_words(serve, browse):
    import virst_model
    from virst_model.live.source import SessionSource
    from virst_model.synthetic.scenes import DEMO_QUERIES

    film = StandingScene()
    url = serve(SessionSource(virst_model.load(), film, "a scene"))
    browser, other = browse(url), browse(url)
    first, second = DEMO_QUERIES
    truths = [film.truth(text) for text in DEMO_QUERIES]
    assert not np.any(truths[0] & truths[1])

    for text, truth, wrong in ((first, *truths), (second, *truths[::-1])):
        browser.submit("#add", text)
        assert browser.until(lambda text=text: browser.texts("li") == [f"{text}\ntracking\n×"])
        assert browser.until(lambda truth=truth: iou(marked(browser, film), truth) > 0.6)
        assert iou(marked(browser, film), wrong) < 0.1
        assert other.until(lambda truth=truth: iou(marked(other, film), truth) > 0.6)
        assert other.texts("li") == browser.texts("li")

        browser.click("li button")
        assert browser.until(lambda: not browser.texts("li"))
        assert browser.until(lambda: not marked(browser, film).any())
    assert other.until(lambda: not other.texts("li"))

    browser.submit("#ask", "What shape is the blue thing?")
    assert browser.until(lambda: browser.text("#answer") == "A square.")
    assert other.until(lambda: other.text("#answer") == "A square.")
    assert float(browser.text("#rate")) > 0 and float(browser.text("#latency")) >= 0
    assert len(browser.driver.find_element("id", "spark").get_attribute("points").split()) > 1
    assert browser.complaints() == other.complaints() == []


def test_an_answer_is_shown_as_far_as_it_is_known_and_can_be_stopped(serve, browse):
    source = FakeSource()
    browser = browse(serve(source))
    assert browser.until(lambda: browser.text("#link") == "live")
    browser.submit("#ask", "What moves?")
    assert browser.until(lambda: browser.text("#answer") == "the so far")
    browser.click("#stop")
    assert browser.until(lambda: browser.text("#answer") == "stopped")

    source.answer.set()
    assert browser.until(
        lambda: browser.driver.find_element("css selector", "#ask input").is_enabled()
    )
    browser.submit("#ask", "And now?")
    assert browser.until(lambda: browser.text("#answer") == "the answer to And now?")
    assert browser.text("#question") == "And now?"


WICKED = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def test_what_people_write_is_text_and_never_a_part_of_the_page(serve, browse):
    source = FakeSource()
    source.title = WICKED
    source.answer.set()
    browser = browse(serve(source))
    assert browser.until(lambda: browser.text("#link") == "live")
    browser.submit("#add", WICKED)
    assert browser.until(lambda: browser.texts("li"))
    browser.submit("#ask", WICKED)
    assert browser.until(lambda: browser.text("#answer") == f"the answer to {WICKED}")
    source.screen.show_trouble(WICKED)
    assert browser.until(lambda: browser.text("#trouble") == WICKED)

    assert browser.texts("li") == [f"{WICKED}\nsearching\n×"]
    assert browser.text("#title") == WICKED and browser.driver.title == "virst"
    assert not browser.driver.find_elements("css selector", "img, body script")


def test_a_refusal_is_shown(serve, browse):
    browser = browse(serve(FakeSource()))
    assert browser.until(lambda: browser.text("#link") == "live")
    browser.submit("#add", "refuse me")
    assert browser.until(lambda: browser.text("#said") == "no such thing")


def test_a_page_connects_with_the_token_of_its_address_and_not_without(serve, browse):
    from virst_viewer.guard import Guard

    source = FakeSource()
    url = serve(source, Guard(token="a-token_of_twenty_chars"))
    stranger, known = browse(url), browse(f"{url}/#a-token_of_twenty_chars")
    assert known.until(lambda: known.text("#link") == "live")
    source.film(1)
    assert known.until(known.drawn)
    assert stranger.until(lambda: stranger.text("#link") == "no connection, or no token")


def test_a_page_of_another_origin_sees_nothing(serve, browse):
    source = FakeSource()
    url = serve(source)
    evil = browse("data:text/html,<title>evil</title>")
    said = evil.driver.execute_async_script(
        "const done = arguments[1], s = new WebSocket(arguments[0], ['virst']);"
        "s.onopen = () => done('open'); s.onerror = () => done('refused');",
        url.replace("http", "ws") + "/live",
    )
    assert said == "refused" and source.looked == []


def test_a_page_that_comes_back_after_its_server_was_gone_goes_on(serve, browse):
    source = FakeSource()
    browser = browse(serve(source))
    assert browser.until(lambda: browser.text("#link") == "live")
    browser.driver.execute_script("socket.close()")
    assert browser.until(lambda: source.looked[:3] == [True, False, True])
    source.film(7)
    assert browser.until(browser.drawn)


def test_an_id_that_comes_again_is_another_sentence(serve, browse):
    """Of a program that was started anew; the page has been there all the time."""
    source = FakeSource()
    browser = browse(serve(source))
    assert browser.until(lambda: browser.text("#link") == "live")
    source.screen.show_queries((Line(1, "the red cup", "tracking", (255, 0, 0)),))
    assert browser.until(lambda: "the red cup" in browser.text("#queries"))

    source.screen.show_queries((Line(1, "the blue box", "searching", (255, 0, 0)),))

    assert browser.until(lambda: "the blue box" in browser.text("#queries"))
    assert "the red cup" not in browser.text("#queries")
    assert "searching" in browser.text("#queries")


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_fits_into_the_width(serve, browse, width):
    source = FakeSource()
    browser = browse(serve(source))
    browser.resize(width, 844)
    assert browser.until(lambda: browser.text("#link") == "live")
    for number in range(4):
        source.add(f"the {'very ' * 40} red circle {'x' * 200} {number}")
    source.screen.show_trouble("nothing comes on /" + "very_long_" * 30)
    source.film(9)
    assert browser.until(browser.drawn)
    assert browser.until(lambda: len(browser.texts("li")) == 4)

    seen, whole = browser.driver.execute_script(
        "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert seen == whole == width


def test_a_page_that_nobody_sees_is_sent_one_picture_and_the_newest_once_it_is_seen(serve, browse):
    source = FakeSource()
    browser = browse(serve(source))
    assert browser.until(lambda: browser.text("#link") == "live")
    browser.driver.execute_script("window.requestAnimationFrame = (f) => { window.later = f; }")
    for grey in range(100):
        source.film(grey)
    assert browser.until(lambda: browser.driver.execute_script("return Boolean(window.later)"))
    drawn = browser.drawn()
    source.film(200)
    browser.driver.execute_script(
        "delete window.requestAnimationFrame; const f = window.later; f();"
    )
    assert browser.until(lambda: abs(int(browser.picture()[0, 0, 0]) - 200) < 3)
    assert browser.drawn() <= drawn + 2
