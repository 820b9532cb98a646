"""Who is let in: by name, by origin, by token; and what the page may do in a browser."""

from __future__ import annotations

import argparse
import re

import pytest

pytest.importorskip("aiohttp", reason="needs the extra viewer")

from aiohttp import WSServerHandshakeError

from virst_model.errors import FileError
from virst_viewer.address import Address, add_address_options, address_of
from virst_viewer.guard import Guard
from virst_viewer.server import PAGE

TOKEN = "a-token_of_twenty_chars"


@pytest.mark.parametrize("path", PAGE)
def test_a_page_loads_nothing_from_elsewhere_and_is_in_no_frame(visit, path):
    async def test(server):
        answer = await server.client.get(f"{server.url}{path}")
        text = await answer.text()
        policy = answer.headers["Content-Security-Policy"]

        assert answer.status == 200
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"(src|href|url\()\W*(https?:)?//", text)
        for written in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
            assert written not in text

    visit(test)


@pytest.mark.parametrize(
    "host, names, is_let_in",
    [
        ("localhost:{port}", (), True),
        ("127.0.0.1:{port}", (), True),
        ("[::1]:{port}", (), True),
        ("192.168.1.7:{port}", (), True),  # no stranger's name leads there
        ("Robot.local:{port}", ("robot.local",), True),
        ("robot.local", ("Robot.Local",), True),
        ("robot.local:{port}", (), False),
        ("evil.example:{port}", (), False),
        ("evil.example:{port}", ("robot.local",), False),
        ("localhost.evil.example:{port}", (), False),
        ("127.0.0.1.evil.example:{port}", (), False),
        ("localhost@evil.example:{port}", (), False),
        ("", (), False),
        ("[", (), False),
        ("a:b:c", (), False),
    ],
)
def test_a_name_that_is_not_this_machines_is_refused(visit, host, names, is_let_in):
    async def test(server):
        named = {"Host": host.format(port=server.port)}
        for path in (*PAGE, "/live"):
            headers = named | {"Origin": f"http://{named['Host']}"}
            answer = await server.client.get(f"{server.url}{path}", headers=headers)
            # 400: let in, and no handshake.
            assert answer.status == ((400 if path == "/live" else 200) if is_let_in else 403)

    visit(test, Guard(names))


async def refused(server, **how) -> int:
    """The status that a page gets which connects that way; 0 where it is let in."""
    try:
        page = await server.connect(**how)
    except WSServerHandshakeError as error:
        return error.status
    await page.until(lambda: page.state)
    return 0


@pytest.mark.parametrize(
    "origin, status",
    [
        ("http://127.0.0.1:{port}", 0),
        ("https://127.0.0.1:{port}", 0),  # behind a proxy that speaks TLS
        ("http://localhost:{port}", 403),  # another origin, for a browser too
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:{port}.evil.example", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_another_page_may_not_connect(visit, origin, status):
    async def test(server):
        assert await refused(server, Origin=origin.format(port=server.port)) == status
        assert server.source.looked[:1] == [True] * (not status)

    visit(test)


@pytest.mark.parametrize(
    "protocols, status",
    [
        (("virst", TOKEN), 0),
        (("virst",), 403),
        (("virst", TOKEN[:-1]), 403),
        (("virst", TOKEN + "a"), 403),
        (("virst", TOKEN.upper()), 403),
        ((), 403),
    ],
)
def test_without_the_token_nobody_connects(visit, protocols, status):
    async def test(server):
        assert await refused(server, protocols=protocols) == status

    visit(test, Guard(token=TOKEN))


def test_a_token_in_other_letters_is_refused_and_no_fault(visit):
    async def test(server):
        headers = {"Origin": server.url, "Sec-WebSocket-Protocol": "virst, \u00fc"}
        answer = await server.client.get(f"{server.url}/live", headers=headers)
        assert answer.status == 403

    visit(test, Guard(token=TOKEN))


def address(*words: str) -> Address:
    parser = argparse.ArgumentParser()
    add_address_options(parser)
    return address_of(parser.parse_args(words))


def test_only_this_machine_is_let_in_where_nothing_is_said():
    assert (address().host, address().token) == ("127.0.0.1", "")
    assert address().url(8765) == "http://127.0.0.1:8765/"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "robot.local"])
def test_where_others_are_let_in_a_token_is_drawn_anew_each_time(host):
    one, other = address("--host", host), address("--host", host)

    assert len(one.token) >= 16 and one.token != other.token
    assert one.url(80).endswith(f":80/#{one.token}")
    assert "0.0.0.0" not in one.url(80) and "[::]" not in one.url(80)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback_needs_no_token(host):
    assert not address("--host", host).token


def test_a_token_of_a_file_holds_on_this_machine_too(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert address("--token-file", str(tmp_path / "token")).token == TOKEN


@pytest.mark.parametrize(
    "text", ["", "short", "with a space in it and long", "a\n" * 20, "ü" * 20]
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(tmp_path, text):
    (tmp_path / "token").write_text(text)
    with pytest.raises(FileError, match="is no token: 16 or more"):
        address("--token-file", str(tmp_path / "token"))


def test_a_token_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match="none: No such file"):
        address("--token-file", str(tmp_path / "none"))
