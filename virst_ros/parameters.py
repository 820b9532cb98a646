"""What the node and the camera can be told: every parameter is written here, and only here.

The nodes declare these fields, the launch files have an argument for each, and

    python -m virst_ros.parameters --write

writes config/virst.yaml, the README's table and that of docs/camera.md from them. Imports neither
ROS nor torch.
"""

import argparse
from collections.abc import Callable
import dataclasses
from dataclasses import dataclass
import json
from pathlib import Path
import sys
import textwrap
from typing import Any

from virst_model.dtypes import DTYPES, QUANTIZE
from virst_model.errors import InputError, program

ROOT = Path(__file__).resolve().parents[1]
TABLE_START = "<!-- Written by `python -m virst_ros.parameters --write`. -->\n"
TABLE_END = "<!-- End of the table. -->\n"


class ParameterError(InputError):
    """A parameter cannot be used; `str()` names it, its value and what is allowed."""


def _parameter(
    default: Any,
    description: str,
    *,
    within: tuple[float, float] | None = None,
    step: int = 1,
    unit: str = "",
    choices: tuple[str, ...] = (),
    read_only: bool = False,
    live: bool = False,
    number_is_text: bool = False,
) -> Any:
    """A field of Parameters or CameraParameters; its type is the annotation.

    Args:
        default: its value where nothing is given.
        description: sentences for people, without type, default, range and unit.
        within: a closed range.
        step: of integers, from the lower end.
        unit: of a number, where the description does not name what it counts.
        choices: the texts that are allowed; none: all are.
        read_only: cannot be set while the node runs.
        live: holds at once where it is set in any state; the others are read at `configure`.
        number_is_text: an integer is taken as its digits.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "within": within,
            "step": step,
            "unit": unit,
            "choices": choices,
            "read_only": read_only,
            "live": live,
            "number_is_text": number_is_text,
        },
    )


@dataclass(frozen=True)
class Parameters:
    """Of the node `segment`. Read at `configure`, but for those that are read-only or live."""

    model: str = _parameter("", "Folder with weights; empty: the tiny model of the package.")
    device: str = _parameter("auto", "auto, cpu, cuda or cuda:N; auto: a GPU where there is one.")
    dtype: str = _parameter(
        "auto",
        "Numbers of the model; auto: bfloat16 on a GPU and of a 7B model, else float32.",
        choices=("auto", *DTYPES),
    )
    quantize: str = _parameter(
        "off",
        "Eight bits for each of the language model's weights: half their memory, and masks that "
        "are a little other.",
        choices=QUANTIZE,
    )
    compile: bool = _parameter(
        False,
        "Compile what runs for every frame, a minute or two more at the first `configure`; "
        "the masks are the same.",
    )
    engine: str = _parameter(
        "auto",
        "What runs for every frame; auto: onnx for float32 on a CPU where the package onnxruntime "
        "is installed, else torch. The first `configure` or `virst export` makes its graphs. "
        "graphs: CUDA graphs, captured at each `configure`.",
        choices=("auto", "torch", "onnx", "graphs"),
    )
    captured_queries: int = _parameter(
        4,
        "Of the engine graphs: so many queries at once have graphs, whose memory grows with them; "
        "more run without.",
        within=(1, 16),
    )
    image_transport: str = _parameter(
        "raw",
        "raw: sensor_msgs/Image on `image`; compressed: CompressedImage on `image`/compressed. "
        "A topic whose name ends with /compressed is read as such.",
        choices=("raw", "compressed"),
    )
    image_backend: str = _parameter(
        "auto",
        "What turns images into arrays; auto: our own conversion, which also does what the "
        "packages cannot.",
        choices=("auto", "cv_bridge", "rosbags"),
    )
    max_pixels: int = _parameter(
        100_000_000,
        "An image that has, or says that it has, more pixels is refused and not decoded.",
        within=(1, 2**31 - 1),
        live=True,
    )
    query: str = _parameter("", "The first sentence to follow; set anew, it replaces all queries.")
    window_size: int = _parameter(
        32, "Frames that the language model looks at.", within=(4, 64), step=4
    )
    window_period_s: float = _parameter(
        0.25,
        "Between two of them, by the camera's stamps.",
        within=(0.0, 10.0),
        unit="s",
        live=True,
    )
    reground: str = _parameter(
        "periodic",
        "on_change: the language model looks again only once masks have stopped agreeing with "
        "what it last said, or that is old.",
        choices=("periodic", "on_change"),
    )
    reground_every: int = _parameter(
        8,
        "Sampled frames between two looks of the language model; of on_change, at least.",
        within=(4, 64),
        step=4,
    )
    reground_after_s: float = _parameter(
        8.0, "Of on_change: when what it said is old.", within=(0.1, 3600.0), unit="s"
    )
    reset_after_s: float = _parameter(
        1.0,
        "An image whose stamp is so far behind the newest starts the stream anew; the queries "
        "stay.",
        within=(0.0, 3600.0),
        unit="s",
        live=True,
    )
    encode_when_idle: bool = _parameter(
        False, "Encode sampled frames without a query too, so that the first one starts at once."
    )
    alpha: int = _parameter(3, "Anchor frames that the tracker reads.", within=(1, 8))
    overlay: bool = _parameter(
        True, "Offer overlay; it is drawn only while somebody listens.", live=True
    )
    autostart: bool = _parameter(True, "Configure and activate at the start.", read_only=True)
    bond_topic: str = _parameter(
        "",
        "Where a lifecycle manager's bonds are made, `/bond` for Nav2's; it takes bondpy. Empty: "
        "no bond.",
    )
    bond_id: str = _parameter(
        "virst/segment", "The node's name as the manager has it in `node_names`."
    )
    failed_frames_limit: int = _parameter(
        30,
        "Frames in a row at which the model fails until the node gives up, with exit status 1.",
        within=(1, 10000),
        live=True,
    )
    grounding_limit_s: float = _parameter(
        60.0,
        "What the language model may take to answer; then `/diagnostics` warns, and queries that "
        "have no answer are `failed` until one comes.",
        within=(0.1, 3600.0),
        unit="s",
        live=True,
    )
    grounder_threads: int = _parameter(1, "CPU threads of the language model.", within=(1, 64))
    tracker_threads: int = _parameter(
        1, "CPU threads of the tracker; 0: one for each core.", within=(0, 64)
    )
    diagnostics_period_s: float = _parameter(
        1.0,
        "Between two messages on /diagnostics.",
        within=(0.1, 60.0),
        unit="s",
        live=True,
    )


@dataclass(frozen=True)
class CameraParameters:
    """Of the node `camera`. All are read at the start."""

    source: str = _parameter(
        "scene",
        "scene, a video file, a folder of images, a bag (folder, .db3 or .mcap), a webcam (its "
        "number or /dev/videoN) or an address, rtsp://...",
        read_only=True,
        number_is_text=True,
    )
    topic: str = _parameter(
        "", "Of a bag with images on several topics: which of them.", read_only=True
    )
    loop: bool = _parameter(
        True,
        "A video, a folder or a bag begins anew after its end; otherwise the camera ends there.",
        read_only=True,
    )
    clock: bool = _parameter(
        False,
        "Of a bag: publish its time on /clock, and stamp the pictures with it; nothing else may "
        "publish /clock meanwhile.",
        read_only=True,
    )
    split: str = _parameter(
        "demo", "Which scenes.", choices=("demo", "train", "valid", "test"), read_only=True
    )
    seed: int = _parameter(0, "Which scene.", read_only=True)
    photographs: str = _parameter(
        "",
        "Folder of photographs; a scene is filmed before one of them, another for each seed. "
        "Empty: before a drawn background.",
        read_only=True,
        number_is_text=True,
    )
    rate_hz: float = _parameter(
        15.0, "How often it takes a picture.", within=(0.1, 240.0), unit="Hz", read_only=True
    )
    width: int = _parameter(
        0,
        "Width of the pictures; 0: as `height` has it, or the source's own, 640 for a scene.",
        within=(0, 8192),
        unit="pixels",
        read_only=True,
    )
    height: int = _parameter(
        0,
        "Height of the pictures; 0: as `width` has it, or the source's own, 480 for a scene.",
        within=(0, 8192),
        unit="pixels",
        read_only=True,
    )
    frame_id: str = _parameter("camera", "frame_id of the headers.", read_only=True)
    hfov_deg: float = _parameter(
        0.0,
        "What the lens sees from left to right; camera_info says so, of square pixels without "
        "distortion. 0: not known.",
        within=(0.0, 179.0),
        unit="degrees",
        read_only=True,
    )
    camera_info_url: str = _parameter(
        "",
        "A calibration, YAML as camera_calibration writes it; camera_info has it at the size of "
        "the pictures. Empty: none.",
        read_only=True,
    )


def allowed(field: dataclasses.Field) -> str:
    """The choices, or the range with its step and its unit; empty where everything is allowed."""
    metadata = field.metadata
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    if not metadata["within"]:
        return ""
    low, high = metadata["within"]
    text = f"{low:g} to {high:g} {metadata['unit']}".strip()
    return text if metadata["step"] == 1 else f"{text}, a multiple of {metadata['step']}"


def help_of(field: dataclasses.Field) -> str:
    """The description and what is allowed, as sentences."""
    description, limits = field.metadata["description"], allowed(field)
    if field.metadata["choices"]:
        return f"{description} One of {limits}."
    return f"{description} {limits}." if limits else description


def checked(field: dataclasses.Field, value: Any) -> Any:
    """`value` as the field's type. Raises ParameterError where the field does not allow it."""
    if type(value) is int and (field.type is float or field.metadata["number_is_text"]):
        value = field.type(value)  # `window_period_s:=1` on a command line is an integer
    if type(value) is not field.type:
        raise ParameterError(f"{field.name} must be a {field.type.__name__}, not {value!r}")
    choices, within = field.metadata["choices"], field.metadata["within"]
    if choices and value not in choices:
        raise ParameterError(f"{field.name} must be one of {', '.join(choices)}, not {value!r}")
    if within and not within[0] <= value <= within[1]:
        raise ParameterError(f"{field.name} must be {within[0]} to {within[1]}, not {value}")
    if field.type is int and within and (value - within[0]) % field.metadata["step"]:
        raise ParameterError(
            f"{field.name} must be a multiple of {field.metadata['step']}, not {value}"
        )
    return value


def yaml_file() -> str:
    """config/virst.yaml: the node's parameters with their defaults, and what they mean."""
    lines = [
        "# Parameters of the node `segment`, with their defaults; the launch file has an argument",
        "# for each. Written by `python -m virst_ros.parameters --write`.",
        "/**:",
        "  ros__parameters:",
    ]
    for field in dataclasses.fields(Parameters):
        comment = "    # "
        lines += textwrap.wrap(
            help_of(field), 99, initial_indent=comment, subsequent_indent=comment
        )
        lines.append(f"    {field.name}: {json.dumps(field.default)}")
    return "\n".join(lines) + "\n"


def table(declared: type) -> str:
    """The parameters of `declared` as a table, without what is around it.

    Where none of them is live there is no column for it.
    """
    fields = dataclasses.fields(declared)
    rows = {
        "name": [f"`{field.name}`" for field in fields],
        "type": [field.type.__name__ for field in fields],
        "default": [json.dumps(field.default) for field in fields],
        "allowed": [allowed(field) for field in fields],
        "live": ["yes" if field.metadata["live"] else "" for field in fields],
        "what": [field.metadata["description"] for field in fields],
    }
    if not any(rows["live"]):
        del rows["live"]
    head = f"| {' | '.join(rows)} |\n|{'---|' * len(rows)}\n"
    lines = zip(*rows.values(), strict=True)
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_table(name: str, page: str, declared: type) -> str:
    """The page with the present table in it. Raises ParameterError where it has no place."""
    before, start, rest = page.partition(TABLE_START)
    _, end, after = rest.partition(TABLE_END)
    if not start or not end:
        raise ParameterError(f"{name} has no lines {TABLE_START!r} and {TABLE_END!r}")
    return before + start + table(declared) + end + after


# Of the checkout -> what the file holds has to become.
DOCUMENTS: dict[str, Callable[[str], str]] = {
    "config/virst.yaml": lambda text: yaml_file(),
    "README.md": lambda text: with_table("README.md", text, Parameters),
    "docs/camera.md": lambda text: with_table("docs/camera.md", text, CameraParameters),
}


@program
def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 where the files are current, or are now; 1 where one is not."""
    parser = argparse.ArgumentParser(
        prog="python -m virst_ros.parameters",
        description=f"Says whether {', '.join(DOCUMENTS)} are current.",
    )
    parser.add_argument("--write", action="store_true", help="write those that are not")
    options = parser.parse_args(arguments)
    stale = 0
    for name, renew in DOCUMENTS.items():
        path = ROOT / name
        present = path.read_text(encoding="utf-8")
        current = renew(present)
        if current == present:
            continue
        if options.write:
            path.write_text(current, encoding="utf-8")
            sys.stdout.write(f"{name}: written\n")
        else:
            stale = 1
            sys.stderr.write(f"{name} is not current: python -m virst_ros.parameters --write\n")
    return stale


if __name__ == "__main__":
    sys.exit(main())
