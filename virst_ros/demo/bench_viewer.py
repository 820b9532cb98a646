"""What a browser before the viewer costs the stream: masks a second with nobody, with one that
looks, and with one that stalls, by turns, before one camera, one node and one viewer.

    python -m virst_ros.demo.bench_viewer --json out/bench_viewer.json
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
import json
from pathlib import Path
import re
import sys
from threading import Event

from aiohttp import ClientSession, WSMsgType
import numpy as np
from tqdm import tqdm

from virst_model.arguments import above_0, whole
from virst_model.synthetic.scenes import DEMO_QUERIES
from virst_ros.demo.bench import WARM_UP_S, Listener, exit_status, write_numbers
from virst_ros.demo.director import Director, stage
from virst_ros.demo.processes import DemoError, Interrupts, set_environment
from virst_viewer.guard import PROTOCOL

# More than the packaged model takes on two cores, so that whatever a browser takes is seen.
CAMERA = {"width": 640, "height": 480, "rate_hz": 120.0}
BROWSERS = ("nobody", "looks", "stalls")
START_LIMIT_S = 60.0
# After a browser came or went: until one that stalls is known to.
SETTLE_S = 3.0
_ADDRESS = re.compile(r"^http://\S+(?=/$)", re.MULTILINE)


def measure(
    seconds: float, rounds: int, out: Path, interrupts: Interrupts
) -> dict[str, list[float]]:
    """Masks a second, of each round, by what is before the viewer.

    Raises:
        DemoError: a process ended, the viewer did not start, or a browser saw no picture.
    """
    rates_hz: dict[str, list[float]] = {name: [] for name in BROWSERS}
    with stage(out, interrupts, Listener, CAMERA) as director:
        director.start("virst-viewer", "--port", "0")
        director.wait_until_active()
        url = _address(director)
        director.ask(DEMO_QUERIES[0])
        director.spin_for(WARM_UP_S)
        with tqdm(total=rounds * len(BROWSERS), unit="turn") as bar:
            for number in range(rounds):
                # Each is first as often as it is last.
                for name in BROWSERS if number % 2 == 0 else BROWSERS[::-1]:
                    browser = nullcontext() if name == "nobody" else _browser(url, name)
                    with browser:
                        director.spin_for(SETTLE_S)
                        director.listener.reset()
                        director.spin_for(seconds)
                        count = len(director.listener.latencies_ms)
                    rates_hz[name].append(count / seconds)
                    bar.update()
    return rates_hz


def _address(director: Director) -> str:
    def found() -> re.Match | None:
        return _ADDRESS.search(director.said("virst-viewer"))

    director.spin_until(lambda: found() is not None, START_LIMIT_S, "virst-viewer's address")
    return found()[0]


@contextmanager
def _browser(url: str, name: str) -> Iterator[None]:
    """One that has seen a picture, and from then on looks or stalls, until it is left.

    Raises DemoError where it sees none.
    """
    seen, left = Event(), Event()
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(asyncio.run, _look(url, name == "stalls", seen, left))
        try:
            if not seen.wait(START_LIMIT_S):
                raise DemoError(f"a browser before {url} saw no picture in {START_LIMIT_S:g} s")
            yield
        finally:
            left.set()
            looking.result()


async def _look(url: str, stalls: bool, seen: Event, left: Event) -> None:
    """As the page does: says of each picture that it was shown, and gets the next one then."""
    async with (
        ClientSession() as session,
        session.ws_connect(
            f"{url}/live", headers={"Origin": url}, protocols=(PROTOCOL,), max_msg_size=0
        ) as page,
    ):
        while not left.is_set():
            if stalls and seen.is_set():
                await asyncio.sleep(0.05)
                continue
            message = await page.receive()
            if message.type == WSMsgType.BINARY:
                seen.set()
            elif message.type != WSMsgType.TEXT:
                raise DemoError(f"{url} closed: {message.data or message.type}")
            # A picture ends a turn, and a state that none comes after.
            if message.type == WSMsgType.BINARY or not json.loads(message.data)["picture"]:
                await page.send_str('{"do": "shown"}')


def markdown_table(rates_hz: dict[str, list[float]]) -> str:
    """For people: a row for what is before the viewer."""
    lines = ["| before the viewer | masks/s | of those with nobody |", "|---|---|---|"]
    nobody = float(np.median(rates_hz["nobody"]))
    for name, each in rates_hz.items():
        median = float(np.median(each))
        share = f"{100 * median / nobody:.0f} %" if nobody else "-"
        lines.append(f"| {name} | {median:.1f} | {share} |")
    return "\n".join(lines) + "\n"


def main(args: list[str] | None = None) -> int:
    """The exit status, as of `exit_status`."""
    parser = argparse.ArgumentParser(
        prog="python -m virst_ros.demo.bench_viewer", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--seconds", type=above_0, default=10.0, help="counted, each turn")
    parser.add_argument("--rounds", type=whole(1), default=4)
    parser.add_argument("--out", type=Path, default=Path("out/bench_viewer"))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(args)
    return exit_status(lambda: _bench(options))


def _bench(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    set_environment(options.out)
    with Interrupts() as interrupts:
        rates_hz = measure(options.seconds, options.rounds, options.out, interrupts)
    if options.json:
        write_numbers(options.json, masks_hz=rates_hz)
    sys.stdout.write(markdown_table(rates_hz))


if __name__ == "__main__":
    sys.exit(main())
