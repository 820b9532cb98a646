"""What the programs that run a model on a video share: options, and the model they name."""

import argparse
from collections.abc import Iterator
import contextlib
import logging
import os
from pathlib import Path
import tempfile

from virst_model.arguments import SEED, whole
from virst_model.checkpoints.device import DeviceError, choose_device
from virst_model.checkpoints.load import load
from virst_model.checkpoints.room import dtype_of
from virst_model.checkpoints.switches import (
    SwitchError,
    check_fusion,
    with_behaviour,
    with_fusion,
)
from virst_model.config import MOST_ALPHA, VirstConfig
from virst_model.dtypes import DTYPES, QUANTIZE
from virst_model.errors import UsageError
from virst_model.model.anchors import STRATEGIES
from virst_model.model.virst import Virst

# Of --initial-fusion.
INITIAL_FUSION = {"on": True, "off": False}


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds --model, --device, --dtype, --quantize and --seed, which `load_model` follows."""
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="folder of weights (default: the packaged ones)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cuda where there is)")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of the weights (default: bfloat16 on cuda and of a 7B model, else float32)",
    )
    parser.add_argument(
        "--quantize", choices=QUANTIZE, default="off", help="of the language model's weights"
    )
    parser.add_argument(
        "--seed",
        type=SEED,
        default=0,
        help="of the frames, where they are drawn by lot",
    )


def add_switches(parser: argparse.ArgumentParser) -> None:
    """Adds --alpha, --anchors, --initial-fusion, --second-fusion and --clip, which `load_switched`
    follows: other rows of the paper's Tables 4 to 6 than the weights' own."""
    group = parser.add_argument_group("in place of what the weights' config.json says")
    group.add_argument(
        "--alpha", type=whole(1, MOST_ALPHA), help="anchors that a frame reads (Table 6)"
    )
    group.add_argument("--anchors", choices=STRATEGIES, help="which frames are (Table 5)")
    group.add_argument("--initial-fusion", choices=("on", "off"), help="before the LLM (Table 4)")
    group.add_argument("--second-fusion", choices=("attention", "mlp"), help="after it (Table 4)")
    group.add_argument(
        "--clip",
        type=Path,
        metavar="DIR",
        help="a CLIP of transformers, by whose similarity `guided` anchors are chosen",
    )


def switched(options: argparse.Namespace) -> dict[str, object]:
    """Name -> value of those options of `add_switches` that were set."""
    names = ("alpha", "anchors", "initial_fusion", "second_fusion", "clip")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def load_switched(options: argparse.Namespace) -> Virst:
    """The model that the options name, with what `add_switches` sets of it.

    Raises:
        WeightsError: its files cannot be used.
        UsageError: there is no such device, or the weights lack a fusion.
    """
    model, switches = load_model(options), switched(options)
    check_switches(options, model.config)
    with_fusion(model, INITIAL_FUSION.get(options.initial_fusion), options.second_fusion)
    behaviour = {name: switches[name] for name in ("alpha", "anchors") if name in switches}
    return with_behaviour(model, **behaviour)


def check_switches(options: argparse.Namespace, config: VirstConfig) -> None:
    """Raises UsageError where weights of `config` lack a fusion that `add_switches` sets."""
    initial = INITIAL_FUSION.get(options.initial_fusion)
    try:
        check_fusion(config, initial, options.second_fusion)
    except SwitchError as error:
        raise UsageError(f"--{str(error).replace(' ', '-', 1)}") from None


def load_model(options: argparse.Namespace) -> Virst:
    """The model that the options name.

    Raises:
        WeightsError: its files cannot be used.
        PackageError: a package is not installed.
        UsageError: there is no such device, or it has no room for the weights.
    """
    with device_option():
        return load(
            options.model, options.device or "auto", dtype_of(options.dtype), options.quantize
        )


def chosen_device(options: argparse.Namespace) -> str:
    """The device that the options name, for what is not loaded from a folder.

    Raises:
        UsageError: it cannot be used.
    """
    with device_option():
        return choose_device(options.device or "auto")


@contextlib.contextmanager
def device_option() -> Iterator[None]:
    """A device that cannot be used is --device that cannot be followed: a UsageError."""
    try:
        yield
    except DeviceError as error:
        raise UsageError(f"--{error}") from None


def writable(folder: Path, option: str = "--out") -> Path:
    """Makes the folder that an option names, and tries it: before the work is done, not after.

    Raises:
        UsageError: it cannot be made, or nothing be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(f"{option}: {folder} cannot be written ({error.strerror})") from None
    return folder


def set_up_logging() -> None:
    """Warnings as lines on stderr; FFmpeg, which OpenCV reads videos with and which
    writes there too, is silenced.

    To be called before the first video is opened.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's AV_LOG_QUIET
