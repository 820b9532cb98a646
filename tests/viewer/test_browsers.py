"""What a browser is shown and what it may wish, by the bytes on its socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fake_source import jpeg
from patience import LIMIT_S, wait_until
import pytest

from virst_model.watching import Picture


def test_a_picture_comes_as_it_is_with_rate_and_latency(visit):
    async def test(server):
        page = await server.connect()
        server.source.film(7)
        await page.until(lambda: page.pictures)

        assert page.pictures == [jpeg(7)]
        assert page.state["latency_ms"] == 20.0 and page.state["rate_hz"] > 0
        assert page.state["title"] == "a fake"

    visit(test)


def test_a_browser_that_stalls_misses_what_is_made_meanwhile_and_sees_the_newest(visit):
    async def test(server):
        page = await server.connect()
        server.source.film(1)
        while not page.pictures:  # taken, and not said to be shown
            message = await page.socket.receive()
            page.pictures += [message.data] * (message.data == jpeg(1))
            if isinstance(message.data, str) and '"picture": false' in message.data:
                await page.tell(do="shown")
        for grey in range(2, 200):
            server.source.film(grey)
        await page.tell(do="shown")
        await page.until(lambda: page.pictures[-1] == jpeg(199))

        assert len(page.pictures) <= 3  # one may have been on its way

    visit(test)


def test_another_browser_goes_on_beside_one_that_stalls(visit):
    async def test(server):
        await server.connect()  # says nothing, ever
        page = await server.connect()
        for grey in range(50):
            server.source.film(grey)
            await page.until(lambda grey=grey: page.pictures[-1:] == [jpeg(grey)])

        assert len(page.pictures) == 50

    visit(test)


def test_nothing_is_drawn_for_a_browser_that_stalls_until_it_goes_on(visit, source):
    async def test(server):
        page = await server.connect()
        assert await asyncio.to_thread(wait_until, lambda: source.looked == [True, False])
        await page.tell(do="shown")
        await page.until(lambda: source.looked == [True, False, True])

    visit(test)
    assert source.looked == [True, False, True, False]


def test_a_browser_that_stalls_and_goes_had_ceased_to_look(visit, source):
    async def test(server):
        page = await server.connect()
        assert await asyncio.to_thread(wait_until, lambda: source.looked == [True, False])
        await page.socket.close()

    visit(test)
    assert source.looked == [True, False]


def test_a_rate_falls_to_nothing_where_the_camera_stands(visit):
    async def test(server):
        page = await server.connect()
        server.source.film(1)
        await page.until(lambda: page.state.get("rate_hz"))
        await page.until(lambda: page.state["rate_hz"] == 0)

    visit(test)


def test_a_query_is_added_seen_by_all_and_removed(visit):
    async def test(server):
        one, other = await server.connect(), await server.connect()
        await one.tell(do="add", text=" the red circle ")
        await one.until(lambda: one.said and one.state.get("queries"))
        await other.until(lambda: other.state.get("queries"))

        line = {"id": 1, "text": "the red circle", "state": "searching"}
        assert other.state["queries"] == [line | {"colour": [255, 32, 208]}]
        assert one.said == [(True, "accepted")] and not other.said

        await other.tell(do="remove", id=1)
        await one.until(lambda: not one.state["queries"])

    visit(test)


def test_a_question_is_answered_bit_by_bit_to_all_and_another_has_to_wait(visit):
    async def test(server):
        one, other = await server.connect(), await server.connect()
        await one.tell(do="ask", text="What moves?")
        await other.until(lambda: other.state.get("talk") and other.state["talk"]["text"])
        so_far = {"question": "What moves?", "text": "the so far", "state": "answering"}
        assert other.state["talk"] == so_far

        await other.tell(do="ask", text="Why?")
        await other.until(lambda: other.said)
        assert other.said == [(False, "another question is being answered: What moves?")]

        server.source.answer.set()
        await one.until(lambda: (one.state.get("talk") or {}).get("state") == "answered")
        assert one.state["talk"]["text"] == "the answer to What moves?"

    visit(test)


def test_a_question_ends_when_nobody_wants_the_answer(visit):
    async def test(server):
        page = await server.connect()
        await page.tell(do="ask", text="What moves?")
        await page.until(lambda: page.state.get("talk"))
        await page.tell(do="stop")
        await page.until(lambda: page.state["talk"]["state"] == "failed")

        assert page.state["talk"]["text"] == "stopped"

    visit(test)


def test_a_source_that_takes_no_questions_says_so(visit, source):
    source.silent = "the node takes no questions"

    async def test(server):
        page = await server.connect()
        await page.tell(do="ask", text="What moves?")
        await page.until(lambda: page.said)

        assert page.said == [(False, "the node takes no questions")]
        assert page.state["silent"] == "the node takes no questions"
        assert page.state["talk"] is None

    visit(test)


@pytest.mark.parametrize(
    "wish, why",
    [
        ({"do": "add", "text": "refuse me"}, "no such thing"),
        ({"do": "add", "text": "break"}, "OSError: a disk"),
        ({"do": "add", "text": "  "}, "without words"),
        ({"do": "add", "text": "a" * 1001}, "1001 characters: at most 1000"),
        ({"do": "add", "text": "\ud800"}, "half a character"),
        ({"do": "add", "text": 7}, "reload it"),
        ({"do": "add"}, "reload it"),
        ({"do": "ask", "text": "\ud800?"}, "half a character"),
        ({"do": "remove", "id": 7}, "there is no query 7"),
        ({"do": "remove", "id": True}, "reload it"),
        ({"do": "remove", "id": -1}, "reload it"),
        ({"do": "remove", "id": 2**32}, "reload it"),
        ({"do": "remove", "id": "1"}, "reload it"),
        ({"do": "shut down"}, "reload it"),
        ({"do": ["add"]}, "reload it"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_the_browser_goes_on(visit, wish, why):
    async def test(server):
        page = await server.connect()
        await page.tell(**wish)
        await page.until(lambda: page.said)
        assert not page.said[0][0] and why in page.said[0][1]

        await page.tell(do="add", text="the red circle")
        await page.until(lambda: page.said[1:])
        assert page.said[1] == (True, "accepted")

    visit(test)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 10_000, '{"do": {}}', "NaN"])
def test_what_is_no_wish_at_all_is_refused_and_the_browser_goes_on(visit, text):
    async def test(server):
        page = await server.connect()
        await page.socket.send_str(text)
        await page.until(lambda: page.said)
        assert not page.said[0][0]
        server.source.film(1)
        await page.until(lambda: page.pictures)

    visit(test)


def test_a_browser_that_says_too_much_is_cut_off_and_the_others_go_on(visit):
    async def test(server):
        loud, other = await server.connect(), await server.connect()
        await loud.socket.send_str("a" * 20_000)
        with pytest.raises(AssertionError):  # a close is no message
            await loud.until(lambda: False)
        server.source.film(1)
        await other.until(lambda: other.pictures)

    visit(test)


def test_nobody_looks_nothing_is_drawn(visit, source, monkeypatch):
    monkeypatch.setattr("virst_viewer.browser.STALLED_S", LIMIT_S)  # on a busy machine, too

    async def test(server):
        assert source.looked == []
        one, other = await server.connect(), await server.connect()
        for page in (one, other):
            await page.until(lambda page=page: page.state)
        await one.socket.close()
        server.source.film(1)
        await other.until(lambda: other.pictures)
        assert source.looked == [True]
        await other.socket.close()
        assert await asyncio.to_thread(wait_until, lambda: source.looked == [True, False])

    visit(test)


def test_there_are_so_many_browsers_and_no_more(visit):
    async def test(server):
        pages = [await server.connect() for _ in range(16)]
        answer = await server.client.get(f"{server.url}/live", headers={"Origin": server.url})
        assert answer.status == 503 and "16 browsers look" in await answer.text()
        await pages[0].until(lambda: pages[0].state)

    visit(test)


def test_the_end_is_said_to_browsers_and_to_the_source(visit, source):
    pages = []

    async def test(server):
        pages.append(await server.connect())
        await pages[0].tell(do="ask", text="What moves?")  # never answered
        await pages[0].until(lambda: pages[0].state.get("talk"))

    visit(test)
    assert source.closed


def resident_mib() -> float:
    """What this process holds of the machine's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("says_shown", [False, True], ids=["says nothing", "reads nothing"])
def test_a_browser_that_stalls_costs_no_memory(visit, says_shown):
    """Of 500 MiB of pictures; `shown` from who does not read is what a liar says."""
    noise = os.urandom(2**20)

    async def test(server):
        stalled, page = await server.connect(), await server.connect()
        await page.until(lambda: page.state)
        before_mib = resident_mib()
        for number in range(500):
            server.source.screen.show(Picture(noise + bytes([number % 256]), 0.0))
            if says_shown:
                await stalled.tell(do="shown")
            if number % 50 == 0:
                seen = len(page.pictures)
                await page.until(lambda seen=seen: len(page.pictures) > seen)
                page.pictures = page.pictures[-1:] * len(page.pictures)

        assert resident_mib() - before_mib < 60

    visit(test)
