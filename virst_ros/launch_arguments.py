"""Parameters of the nodes as arguments of launch files. Imports neither ROS nor torch."""

import dataclasses
from dataclasses import dataclass
import json

from virst_ros.parameters import help_of


@dataclass(frozen=True)
class LaunchArgument:
    """An argument of a launch file.

    Attributes:
        kind: str, bool, int or float, what its text stands for.
        default: the parameter's, as a text.
        description: for people, with what is allowed.
    """

    name: str
    kind: type
    default: str
    description: str


def launch_arguments(declared: type) -> tuple[LaunchArgument, ...]:
    """An argument for each field of `declared`, Parameters or CameraParameters, in their order."""
    return tuple(
        LaunchArgument(
            field.name,
            field.type,
            field.default if field.type is str else json.dumps(field.default),
            help_of(field),
        )
        for field in dataclasses.fields(declared)
    )
