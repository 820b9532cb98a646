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

# Name -> type and description, the node's own parameters (virst_ros/parameters.py).
PARAMETERS = {
    "model": (str, "Folder with weights; empty: the tiny model of the package."),
    "device": (str, "auto, cpu, cuda or cuda:N."),
    "dtype": (str, "auto, float32, float16 or bfloat16."),
    "compile": (bool, "Compile what runs for every frame, a minute or two at `configure`."),
    "image_transport": (str, "raw, or compressed for <image>/compressed."),
    "image_backend": (str, "auto, cv_bridge or rosbags: what turns images into arrays."),
    "query": (str, "The first sentence to follow; /virst/set_query changes it."),
    "window_size": (int, "Frames that the language model looks at (32)."),
    "window_period_s": (float, "Seconds between two of them (0.25)."),
    "alpha": (int, "Anchor frames that the tracker reads."),
    "reground_every": (int, "Sampled frames between two groundings, a multiple of 4 (8)."),
    "encode_when_idle": (bool, "Encode sampled frames also while there is no query."),
    "overlay": (bool, "Offer /virst/overlay; it is drawn only while somebody listens."),
    "autostart": (bool, "Configure and activate at the start."),
    "grounder_threads": (int, "CPU threads of the language model."),
    "tracker_threads": (int, "CPU threads of the tracker."),
    "diagnostics_period_s": (float, "Seconds between two messages on /diagnostics."),
}
# The launch file's own. Name -> default and description.
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


def dds_profile() -> list[SetEnvironmentVariable]:
    """The profile for camera images, unless the user has one (config/fastdds.xml says why)."""
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in names):
        return []
    if os.environ.get("ROS_DISTRO") not in {"humble", "jazzy"}:
        names = names[:1]  # later ones read only this name and warn about the other
    profile = PathJoinSubstitution([FindPackageShare("virst_ros"), "config", "fastdds.xml"])
    return [SetEnvironmentVariable(name, profile) for name in names]


def start_node(context: LaunchContext) -> list[Node]:
    """The node, with those parameters that were given; typed here, so that query:=7 is a text."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _) in PARAMETERS.items()
        if LaunchConfiguration(name).perform(context)
    }
    given["use_sim_time"] = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    return [
        Node(
            package="virst_ros",
            executable="virst-segment",
            name="segment",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), given],
            remappings=[("image", LaunchConfiguration("image"))],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value="", description=description)
        for name, (_, description) in PARAMETERS.items()
    ]
    arguments += [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in OTHERS.items()
    ]
    return LaunchDescription([*arguments, *dds_profile(), OpaqueFunction(function=start_node)])
