"""Starts the node `segment` and a lifecycle manager of Nav2's that configures and activates it.

    ros2 launch virst_ros nav2.launch.py image:=/camera/image_raw query:="the red circle"

Takes the arguments of segment.launch.py as well, but for the one that lets the node start itself.
"""

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# A model of billions of parameters is read and warmed up in `configure`.
SERVICE_TIMEOUT_S = 600.0
# Where the manager makes its bonds.
BOND_TOPIC = "/bond"


def declared() -> list[DeclareLaunchArgument]:
    """The manager's own arguments."""
    return [
        DeclareLaunchArgument(
            "bond_timeout",
            default_value="0.0",
            description="Seconds without the node's heartbeat until the manager brings all down; "
            "0.0: without a bond, as without bondpy.",
        ),
        DeclareLaunchArgument(
            "manager",
            default_value="lifecycle_manager_virst",
            description="Name of the manager's node.",
        ),
    ]


def name_of_node(context: LaunchContext) -> str:
    """As the manager spells it: with the namespace, without the first slash."""
    namespace = LaunchConfiguration("namespace", default="virst").perform(context)
    return f"{namespace}/segment".strip("/")


def bond_timeout_s(context: LaunchContext) -> float:
    return float(LaunchConfiguration("bond_timeout").perform(context))


def offer_bond(context: LaunchContext) -> list[Action]:
    """The node's side of it, where the manager wants one."""
    if not bond_timeout_s(context):
        return []
    return [
        SetLaunchConfiguration("bond_topic", BOND_TOPIC),
        SetLaunchConfiguration("bond_id", name_of_node(context)),
    ]


def start_manager(context: LaunchContext) -> list[Action]:
    """Nav2's, for our node alone: what it brings down is no other's."""
    parameters = {
        "node_names": [name_of_node(context)],
        "autostart": True,
        "service_timeout": SERVICE_TIMEOUT_S,
        "bond_timeout": bond_timeout_s(context),
    }
    return [
        Node(
            package="nav2_lifecycle_manager",
            executable="lifecycle_manager",
            name=LaunchConfiguration("manager"),
            parameters=[parameters],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    segment = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("segment.launch.py"))),
        launch_arguments=[("autostart", "false")],
    )
    return LaunchDescription(
        [
            *declared(),
            OpaqueFunction(function=offer_bond),
            segment,
            OpaqueFunction(function=start_manager),
        ]
    )
