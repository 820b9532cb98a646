"""virst segment VIDEO --query "the red ball": masks of a whole video.

VIDEO is a video file, a folder of images, one image or a bag of ROS 2. OUT gets a folder for each
query with a 0/255 PNG for each frame, named as the frame (00000.png, ... for a video file or a
bag), and with --overlay the video with the masks drawn on it.
"""

from collections.abc import Iterable, Sequence
import contextlib
import logging
from pathlib import Path
import re
import sys

import cv2
import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from virst_model.answer import StepResult
from virst_model.arguments import Parser, sentence
from virst_model.checkpoints.options import (
    add_model_options,
    add_switches,
    load_switched,
    set_up_logging,
)
from virst_model.errors import FileError, UsageError, program, visible
from virst_model.frames import Frames
from virst_model.offline.guide import load_scorer
from virst_model.offline.video import MOST_TEXTS, Picture, segment_video
from virst_model.overlay import draw_overlay
from virst_model.sources.named import add_source, open_recorded
from virst_model.stream.engine import add_engine_option, use_engine
from virst_model.video_writer import VideoWriter

SLUG_LENGTH = 60

_log = logging.getLogger(__name__)


def folder_names(texts: Sequence[str]) -> list[str]:
    """A folder name for each sentence: its words, joined by "-", and a number where two meet."""
    names: list[str] = []
    for text in texts:
        slug = "-".join(re.findall(r"\w+", text.lower()))[:SLUG_LENGTH].strip("-_") or "query"
        name, count = slug, 1
        while name in names:
            count += 1
            name = f"{slug}-{count}"
        names.append(name)
    return names


class Overlay:
    """The frames with their masks as one file: OUT/overlay.mp4, for one frame OUT/overlay.png.

    It is there to be looked at: where it cannot be written, there is none and a warning says so,
    but no mask is lost.
    """

    def __init__(self, folder: Path, frames: int, rate_hz: float) -> None:
        self.path = folder / ("overlay.png" if frames == 1 else "overlay.mp4")
        self._video = None if frames == 1 else VideoWriter(self.path, rate_hz)
        self._failed = False

    def write(self, canvas_HW3: np.ndarray, time_s: float | None = None) -> None:
        """Adds a BGR frame, at the size of the first; `time_s` as of `VideoWriter.write`."""
        if self._failed:
            return
        try:
            if self._video is None:
                write_image(self.path, canvas_HW3)
            else:
                self._video.write(canvas_HW3, time_s)
        except FileError as error:
            self._give_up(error)

    def close(self) -> None:
        """Finishes the file; without a frame there is none."""
        if self._failed or self._video is None:
            return
        try:
            self._video.close()
        except FileError as error:
            self._give_up(error)

    def _give_up(self, error: FileError) -> None:
        self._failed = True
        with contextlib.suppress(OSError):  # half a film is none
            self.path.unlink()
        _log.warning("%s; the masks are written without it", error)


def write_image(path: Path, image: np.ndarray) -> None:
    """Writes an image, uint8 BGR (H, W, 3) or grey (H, W), as its suffix says.

    Raises:
        FileError: it cannot be written, on a full disk for one.
    """
    try:
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror})") from None


def write_masks(
    steps: Iterable[tuple[Picture, StepResult]],
    frames: Frames,
    texts: Sequence[str],
    out: Path,
    overlay: bool,
) -> list[Path]:
    """Writes the masks of a video, which `segment_video` makes; the folders, one a sentence.

    Raises:
        FileError: the video cannot be read, or a result cannot be written.
    """
    folders = [out / name for name in folder_names(texts)]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(folder, f"cannot be made ({error.strerror})") from None
    drawing = None
    try:
        for picture, result in tqdm(steps, total=frames.length, unit="frame", leave=False):
            for folder, answer in zip(folders, result.results, strict=True):
                mask_HW = answer.mask_HW.view(np.uint8) * 255
                write_image(folder / f"{picture.name}.png", mask_HW)
            if overlay:
                # Not before the first frame: by now it is known how many there are.
                drawing = drawing or Overlay(out, frames.length, frames.rate_hz)
                drawing.write(draw_overlay(picture.image_HW3, result), picture.time_s)
    finally:
        if drawing is not None:
            drawing.close()
    return folders


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where the input or an option cannot be used, said in one line."""
    parser = Parser(prog="virst segment", description=__doc__)
    add_source(parser)
    parser.add_argument(
        "--query",
        action="append",
        type=sentence,
        required=True,
        help="what to segment; several times for several objects",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/segment"), metavar="DIR", help="what to write into"
    )
    parser.add_argument("--overlay", action="store_true", help="also write a video to look at")
    add_switches(parser)
    add_model_options(parser)
    add_engine_option(parser)
    options = parser.parse_args(arguments)
    set_up_logging()
    if not all(text.strip() for text in options.query):
        raise UsageError("--query: a query without words")
    if len(options.query) > MOST_TEXTS:
        raise UsageError(f"--query: {len(options.query)} queries; at most {MOST_TEXTS}")
    if options.engine == "graphs":
        raise UsageError("--engine graphs: is captured for a stream; here auto, torch or onnx")
    frames = open_recorded(options.video, options.topic)
    model = use_engine(load_switched(options), options.engine)
    scorer = load_scorer(options, model)
    steps = segment_video(model, frames, options.query, options.seed, scorer)
    with logging_redirect_tqdm():
        folders = write_masks(steps, frames, options.query, options.out, options.overlay)
    for folder in folders:
        sys.stdout.write(f"{visible(folder)}\n")
    return 0
