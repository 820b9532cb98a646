"""Declares the fields of a dataclass as parameters of a ROS node, and reads them."""

from collections.abc import Mapping
import dataclasses
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from virst_ros.parameters import CameraParameters, ParameterError, Parameters, checked

P = TypeVar("P", Parameters, CameraParameters)


def declare(node: Node, declared: type[P]) -> P:
    """Declares every field of `declared` on `node` and reads them.

    Raises:
        ParameterError: a value that was given is not allowed.
        rclpy.exceptions.ParameterException: a value of the wrong type or out of range.
    """
    for field in dataclasses.fields(declared):
        node.declare_parameter(field.name, field.default, _descriptor(field))
    return read(node, declared)


def read(node: Node, declared: type[P]) -> P:
    """The present values. Raises ParameterError for one that is not allowed."""
    fields = dataclasses.fields(declared)
    return declared(
        **{field.name: checked(field, node.get_parameter(field.name).value) for field in fields}
    )


def changed(present: Parameters, changes: Mapping[str, Any], after_configure: bool) -> Parameters:
    """The parameters with these values, by the fields' names.

    Args:
        after_configure: what `configure` reads is read.

    Raises:
        ParameterError: a value that is not allowed, or one that would do nothing now.
    """
    fields = {field.name: field for field in dataclasses.fields(Parameters)}
    late = [n for n in changes if after_configure and not fields[n].metadata["live"]]
    if late:
        raise ParameterError(f"{', '.join(late)}: read at configure; clean up first")
    values = {name: checked(fields[name], value) for name, value in changes.items()}
    return dataclasses.replace(present, **values)


def _descriptor(field: dataclasses.Field) -> ParameterDescriptor:
    metadata = field.metadata
    descriptor = ParameterDescriptor(
        description=metadata["description"],
        read_only=metadata["read_only"],
        # An integer for a float is a slip that costs nothing to allow.
        dynamic_typing=field.type is float or metadata["number_is_text"],
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
