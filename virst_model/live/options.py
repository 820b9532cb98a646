"""What a program that watches a stream is told: film, model and first queries."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from virst_model.arguments import sentence
from virst_model.checkpoints.options import add_model_options, load_model
from virst_model.errors import UsageError
from virst_model.live.film import open_film
from virst_model.live.source import SessionSource
from virst_model.sources.live import public
from virst_model.stream.engine import add_engine_option, use_engine
from virst_model.watching import Refused


def add_live_options(parser: ArgumentParser) -> None:
    """Adds --source, --topic, --query and those of a model, which `open_live` follows."""
    parser.add_argument(
        "--source",
        required=True,
        help="a webcam (its number or /dev/videoN), rtsp://..., a video file, a folder of images, "
        "an image or a bag",
    )
    parser.add_argument("--topic", default="", help="of a bag with images on several")
    parser.add_argument(
        "--query",
        action="append",
        default=[],
        type=sentence,
        help="what to look for at first; several times for several objects",
    )
    add_model_options(parser)
    add_engine_option(parser)


def open_live(options: Namespace) -> SessionSource:
    """Loads the model and opens the film.

    Raises:
        UsageError: an option cannot be followed.
        InputError: a file or a camera cannot be used.
    """
    film = open_film(options.source, options.topic)
    try:
        model = use_engine(load_model(options), options.engine)
        source = SessionSource(model, film, public(options.source))
        for text in options.query:
            source.add(text)
    except Refused as error:
        film.close()
        raise UsageError(f"--query: {error}") from None
    except BaseException:
        film.close()
        raise
    return source
