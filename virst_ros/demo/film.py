"""What the demo and `make run` film: options of the command line, the camera's parameters."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from virst_model.errors import InputError
from virst_model.sources.live import is_live, public
from virst_model.sources.named import open_recorded
from virst_ros.pictures import SCENE, PictureError, choose_photograph

RATE_HZ = 15.0
DRAWN, PHOTO = "drawn", "photo"
# What is behind the objects of `--scene photo` (README.md there says whose they are).
PHOTOGRAPHS = Path(__file__).parent / "photographs"


def add_film_options(parser: argparse.ArgumentParser) -> None:
    """Adds --video, --topic, --scene, --photographs, --seed and --model."""
    parser.add_argument(
        "--video",
        help="what to film instead of the synthetic scene: a video file, a folder of images, a "
        "bag, a webcam (its number or /dev/videoN), rtsp://...",
    )
    parser.add_argument("--topic", default="", help="of a bag with images on several")
    parser.add_argument(
        "--scene",
        choices=(DRAWN, PHOTO),
        default=DRAWN,
        help="what is behind the objects; default: %(default)s",
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        metavar="DIR",
        help="your own for --scene photo, another for each seed",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the scene; default: %(default)s")
    parser.add_argument("--model", default="", help="folder with weights; default: the package's")


def check_film(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Ends the program, as `parser.error` does, where that cannot be filmed.

    A camera is left to the process that films it: it can be opened once.
    """
    _check_photographs(parser, parsed)
    if parsed.topic and not parsed.video:
        parser.error(f"--topic {parsed.topic}: belongs to a bag; --video names it")
    if not parsed.video or is_live(parsed.video):
        return
    try:
        open_recorded(parsed.video, parsed.topic)
    except InputError as error:
        parser.error(f"--video {error}")


def _check_photographs(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Ends the program, as `parser.error` does, where no scene can be filmed before them."""
    if parsed.scene != PHOTO:
        if parsed.photographs:
            parser.error(f"--photographs {parsed.photographs}: belong to --scene {PHOTO}")
        return
    if parsed.video:
        name = public(parsed.video)
        parser.error(f"--video {name}: has no scene to be {PHOTO}; leave one of them out")
    parsed.photographs = parsed.photographs or PHOTOGRAPHS
    try:
        choose_photograph(parsed.photographs, parsed.seed)
    except PictureError as error:
        parser.error(f"--photographs {error}")


def film_of(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """What is filmed, for people, and the camera's parameters."""
    source = options.video or SCENE
    camera = {"source": source, "rate_hz": RATE_HZ, "seed": options.seed, "topic": options.topic}
    if options.scene != PHOTO:
        return public(source), camera
    photograph = choose_photograph(options.photographs, options.seed)
    return f"scene before {photograph}", camera | {"photographs": str(options.photographs)}
