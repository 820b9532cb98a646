"""Starts the node `segment`: a camera and a sentence in, masks out.

    ros2 launch virst_ros segment.launch.py image:=/camera/image_raw query:="the red circle"

`ros2 launch virst_ros segment.launch.py --show-args` lists the arguments. An argument that is left
empty keeps the value of `params_file`.
"""

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from virst_ros.dds import profile_environment
from virst_ros.parameters import Parameters, launch_arguments

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


def start_node(context: LaunchContext) -> list[Node]:
    """The node, with the parameters that have a value; typed here, so that query:=7 is a text."""
    parameters = {
        argument.name: ParameterValue(LaunchConfiguration(argument.name), value_type=argument.kind)
        for argument in launch_arguments(Parameters)
        if LaunchConfiguration(argument.name).perform(context)
    }
    clock = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    parameters["use_sim_time"] = clock
    return [
        Node(
            package="virst_ros",
            executable="virst-segment",
            name="segment",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), parameters],
            remappings=[("image", LaunchConfiguration("image"))],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(argument.name, default_value="", description=argument.description)
        for argument in launch_arguments(Parameters)
    ]
    arguments += [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in OTHERS.items()
    ]
    profile = [
        SetEnvironmentVariable(name, path)
        for name, path in profile_environment(os.environ).items()
    ]
    return LaunchDescription([*arguments, *profile, OpaqueFunction(function=start_node)])
