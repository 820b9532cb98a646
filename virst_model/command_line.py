"""What the programs that run a model on a video share: options, and errors of one line."""

import argparse
import logging
import os
from pathlib import Path
import sys

import torch

from virst_model.device import DeviceError, choose_device
from virst_model.virst import Virst, load

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
BAD_INPUT = 2  # exit status


class UsageError(Exception):
    """An option cannot be followed; `str()` is one line."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --device, --dtype and --seed."""
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="folder of weights (default: the packaged ones)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cuda where there is)")
    parser.add_argument(
        "--dtype", choices=DTYPES, help="of the weights (default: bf16 on cuda, else fp32)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the frames, where they are drawn by lot"
    )


def load_model(options: argparse.Namespace) -> Virst:
    """The model that the options name.

    Raises:
        WeightsError: its files cannot be used.
        UsageError: there is no such device.
    """
    return load(options.model, chosen_device(options), DTYPES.get(options.dtype))


def chosen_device(options: argparse.Namespace) -> str:
    """The device that the options name; UsageError where it cannot be used."""
    try:
        return choose_device(options.device or "auto")
    except DeviceError as error:
        raise UsageError(f"--{error}") from None


def set_up_logging() -> None:
    """Warnings as lines on stderr; FFmpeg, which OpenCV reads videos with and which
    writes there too, is silenced.

    To be called before the first video is opened.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's AV_LOG_QUIET


def fail(error: Exception) -> int:
    """Says what is wrong, in one line; the exit status."""
    sys.stderr.write(f"error: {error}\n")
    return BAD_INPUT
