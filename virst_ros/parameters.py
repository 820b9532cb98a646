"""The node's parameters: declared once, from one dataclass."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from virst_model.errors import InputError


class ParameterError(InputError):
    """A parameter cannot be used; `str()` names it, its value and what is allowed."""


def _parameter(
    default: Any,
    description: str,
    *,
    within: tuple[float, float] | None = None,
    step: int = 1,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
) -> Any:
    """A field; `within` is a closed range, `step` goes with integers, from the lower end."""
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "within": within,
            "step": step,
            "choices": choices,
            "read_only": read_only,
        },
    )


@dataclass(frozen=True)
class Parameters:
    """What the node can be told. Read at `configure`, but for those that are read-only."""

    model: str = _parameter("", "Folder with weights; empty: the tiny model of the package.")
    device: str = _parameter("auto", "auto, cpu, cuda or cuda:N; auto: a GPU where there is one.")
    dtype: str = _parameter(
        "auto",
        "Numbers of the model; auto: bfloat16 on a GPU, float32 elsewhere.",
        choices=("auto", "float32", "float16", "bfloat16"),
    )
    compile: bool = _parameter(
        False, "Compile what runs for every frame, a minute or two at `configure`."
    )
    image_transport: str = _parameter(
        "raw",
        "raw: sensor_msgs/Image on `image`; compressed: CompressedImage on `image`/compressed.",
        choices=("raw", "compressed"),
    )
    image_backend: str = _parameter(
        "auto",
        "What turns images into arrays; auto: cv_bridge where the installed one works.",
        choices=("auto", "cv_bridge", "rosbags"),
    )
    query: str = _parameter("", "The first sentence to follow; set_query changes it.")
    window_size: int = _parameter(
        32, "Frames that the language model looks at, a multiple of 4.", within=(4, 64), step=4
    )
    window_period_s: float = _parameter(
        0.25, "Seconds of camera stamps between two of them.", within=(0.0, 10.0)
    )
    alpha: int = _parameter(3, "Anchor frames that the tracker reads.", within=(1, 8))
    reground_every: int = _parameter(
        8, "Sampled frames between two groundings, a multiple of 4.", within=(4, 64), step=4
    )
    encode_when_idle: bool = _parameter(
        False, "Encode sampled frames without a query too, so that the first one starts at once."
    )
    overlay: bool = _parameter(True, "Offer overlay; it is drawn only while somebody listens.")
    autostart: bool = _parameter(True, "Configure and activate at the start.", read_only=True)
    grounder_threads: int = _parameter(1, "CPU threads of the language model.", within=(1, 64))
    tracker_threads: int = _parameter(
        1, "CPU threads of the tracker; 0: one for each core.", within=(0, 64)
    )
    diagnostics_period_s: float = _parameter(
        1.0, "Seconds between two messages on /diagnostics.", within=(0.1, 60.0), read_only=True
    )


def declare(node: Node) -> Parameters:
    """Declares every field of Parameters on `node` and reads them.

    Raises:
        ParameterError: a value that was given is not allowed.
        rclpy.exceptions.ParameterException: a value of the wrong type or out of range.
    """
    for field in dataclasses.fields(Parameters):
        node.declare_parameter(field.name, field.default, _descriptor(field))
    return read(node)


def read(node: Node) -> Parameters:
    """The present values. Raises ParameterError for one that is not allowed."""
    values = {}
    for field in dataclasses.fields(Parameters):
        values[field.name] = _checked(field, node.get_parameter(field.name).value)
    return Parameters(**values)


def _checked(field: dataclasses.Field, value: Any) -> Any:
    if field.type is float and type(value) is int:
        value = float(value)  # `window_period_s:=1` on a command line is an integer
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


def _descriptor(field: dataclasses.Field) -> ParameterDescriptor:
    metadata = field.metadata
    descriptor = ParameterDescriptor(
        description=metadata["description"],
        read_only=metadata["read_only"],
        # An integer for a float is a slip that costs nothing to allow.
        dynamic_typing=field.type is float,
    )
    if metadata["choices"]:
        descriptor.additional_constraints = "one of: " + ", ".join(metadata["choices"])
    if metadata["within"]:
        low, high = metadata["within"]
        if field.type is int:
            step = metadata["step"]
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=step)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
