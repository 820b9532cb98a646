"""Starts the node `segment`: a camera and a sentence in, masks out.

    ros2 launch virst_ros segment.launch.py image:=/camera/image_raw query:="the red circle"

`ros2 launch virst_ros segment.launch.py --show-args` lists the arguments. An argument that is left
empty keeps the value of `params_file`.
"""

import os

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueCoroutine,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch.utilities import perform_substitutions
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from virst_ros.dds import profile_environment
from virst_ros.launch_arguments import launch_arguments
from virst_ros.origins import off_default
from virst_ros.parameters import Parameters
from virst_ros.survey import survey

# Beside the node's parameters. Name -> default and description.
OTHERS = {
    "image": ("image", "Topic of the camera image; relative names are in the namespace."),
    "namespace": ("virst", "Namespace of the node and of its topics and services."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("virst_ros"), "config", "virst.yaml"]),
        "YAML file with the node's parameters.",
    ),
    "use_sim_time": ("false", "Take the time from /clock: bags and simulators."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
}


def declared() -> list[DeclareLaunchArgument]:
    """An argument for each parameter of the node, and the launcher's own.

    The node's are empty, so that `params_file` counts; what it and the node have is described.
    """
    ours = []
    for argument in launch_arguments(Parameters):
        otherwise = f"Empty: as in params_file, or {argument.default!r}."
        description = f"{argument.description} {otherwise}"
        ours.append(
            DeclareLaunchArgument(argument.name, default_value="", description=description)
        )
    return ours + [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in OTHERS.items()
    ]


def say_arguments(context: LaunchContext) -> list[LogInfo]:
    """A line with the arguments that somebody has given; they may be another launch file's."""
    defaults = {
        argument.name: perform_substitutions(context, argument.default_value)
        for argument in declared()
    }
    given = off_default(context.launch_configurations, defaults, context.argv)
    return [LogInfo(msg=f"segment: {', '.join(given)}")] if given else []


def start_node(context: LaunchContext) -> list[Action]:
    """The node, with the parameters that have a value; typed here, so that query:=7 is a text."""
    parameters = {
        argument.name: ParameterValue(LaunchConfiguration(argument.name), value_type=argument.kind)
        for argument in launch_arguments(Parameters)
        if LaunchConfiguration(argument.name).perform(context)
    }
    clock = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    parameters["use_sim_time"] = clock
    node = Node(
        package="virst_ros",
        executable="virst-segment",
        name="segment",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), parameters],
        remappings=[("image", LaunchConfiguration("image"))],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    if LaunchConfiguration("image").perform(context) != OTHERS["image"][0]:
        return [node]
    return [node, OpaqueCoroutine(coroutine=list_images, args=[node], ignore_context=True)]


async def list_images(node: Node) -> None:
    """Which topics have images, where nobody has named one and the node's own has none."""
    # The first rule wins; one that a SetRemap has made comes before ours.
    image = next(new for old, new in node.expanded_remapping_rules if old == "image")
    namespace = node.expanded_node_namespace.rstrip("/")
    found = await survey(image if image.startswith("/") else f"{namespace}/{image}")
    if found:
        get_logger("launch.user").warning(found)


def generate_launch_description() -> LaunchDescription:
    profile = [
        SetEnvironmentVariable(name, path)
        for name, path in profile_environment(os.environ).items()
    ]
    steps = [OpaqueFunction(function=step) for step in (say_arguments, start_node)]
    return LaunchDescription([*declared(), *profile, *steps])
