"""Where a page is served, and to whom: options of the programs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
import re
import secrets
import socket
import sys

from virst_model.arguments import whole
from virst_model.errors import FileError
from virst_viewer.guard import is_loopback

LOOPBACK, PORT = "127.0.0.1", 8765
LEAST_CHARACTERS = 16  # of a token


@dataclass(frozen=True)
class Address:
    """Where it listens.

    Attributes:
        host: an address or a name of this machine; 0.0.0.0 is all of them.
        port: 0 for one that is free.
        names: what the machine may be called by, beside numbers.
        token: what a page must know; empty: nothing.
    """

    host: str = LOOPBACK
    port: int = PORT
    names: tuple[str, ...] = ()
    token: str = ""

    def url(self, port: int) -> str:
        """What a person opens. The token stands behind a #: no browser sends that anywhere."""
        host = _reachable() if self.host in ("0.0.0.0", "::") else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}/" + (f"#{self.token}" if self.token else "")


def add_address_options(parser: ArgumentParser) -> None:
    """Adds --host, --port, --name and --token-file, which `address_of` follows."""
    group = parser.add_argument_group("the page")
    group.add_argument(
        "--host",
        default=LOOPBACK,
        help="where it listens: 0.0.0.0 lets other machines in, who know a token; "
        "default: %(default)s",
    )
    group.add_argument(
        "--port",
        type=whole(0, 65535),
        default=PORT,
        help="0: one that is free; default: %(default)s",
    )
    group.add_argument(
        "--name",
        action="append",
        default=[],
        help="what this machine is called in the browser, as robot.local",
    )
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="its one line is the token, also on this machine; without it one is drawn where "
        "other machines are let in",
    )


def address_of(options: Namespace) -> Address:
    """What the options say. Raises FileError for a token that cannot be used."""
    token = "" if is_loopback(options.host) else secrets.token_urlsafe(LEAST_CHARACTERS)
    if options.token_file is not None:
        token = _read_token(options.token_file)
    names = (*options.name, *([] if is_loopback(options.host) else [options.host]))
    return Address(options.host, options.port, names, token)


def words_of(options: Namespace) -> list[str]:
    """The options as they are typed, for another program."""
    named = [word for name in options.name for word in ("--name", name)]
    token = ["--token-file", str(options.token_file)] if options.token_file else []
    return ["--host", options.host, "--port", str(options.port), *named, *token]


def announce(url: str) -> None:
    """Writes where the page is: the first line of a program."""
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        token = ""
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    if not re.fullmatch(r"[A-Za-z0-9_-]+", token) or len(token) < LEAST_CHARACTERS:
        raise FileError(
            path, f"is no token: {LEAST_CHARACTERS} or more of A-Z, a-z, 0-9, - and _, in one line"
        )
    return token


def _reachable() -> str:
    """This machine's address as others see it, as far as it knows; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of no machine (RFC 5737)
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]
