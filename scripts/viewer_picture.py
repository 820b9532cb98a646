"""The picture of docs/viewer.md: the page of a scene, as Chromium shows it.

    python scripts/viewer_picture.py docs/viewer.png [390 1000]

The numbers are width and height in pixels; default: 1280 800.
"""

import asyncio
from pathlib import Path
import sys
import tempfile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fixtures")]

from chromium import Browser  # noqa: E402
from page import serving  # noqa: E402
from PIL import Image  # noqa: E402
from standing_scene import StandingScene  # noqa: E402

import virst_model  # noqa: E402
from virst_model.live.source import SessionSource  # noqa: E402
from virst_model.synthetic.scenes import DEMO_QUERIES  # noqa: E402

FRAMES = 120  # of the sparkline
QUESTION = "What shape is the blue thing?"


def shoot(url: str, path: Path, width: int, height: int) -> None:
    """Asks for two things, and a question, in a browser of that size, and keeps what it shows."""
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(Path(profile))
        try:
            browser.resize(width, height)
            browser.driver.get(url)
            browser.until(lambda: browser.text("#link") == "live")
            for text in DEMO_QUERIES:
                browser.submit("#add", text)
            tracking = [f"{text}\ntracking\n×" for text in DEMO_QUERIES]
            browser.until(lambda: browser.texts("li") == tracking and browser.drawn() > FRAMES)
            browser.submit("#ask", QUESTION)
            browser.until(lambda: browser.text("#answer").endswith("."))
            browser.shoot(path)
        finally:
            browser.close()
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


async def main(path: Path, width: int, height: int) -> None:
    """Serves the page and shoots it."""
    source = SessionSource(virst_model.load(), StandingScene(), "a synthetic scene")
    async with serving(source) as server:
        await asyncio.to_thread(shoot, server.url, path, width, height)


if __name__ == "__main__":
    size = [int(word) for word in sys.argv[2:]] or [1280, 800]
    asyncio.run(main(Path(sys.argv[1]), *size))
