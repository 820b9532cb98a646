"""segment.launch.py and a camera for those who have none: a scene, a recording or a webcam.

    ros2 launch virst_ros demo.launch.py query:="the red circle"
    ros2 launch virst_ros demo.launch.py source:=video.mp4

Every argument of segment.launch.py works here too, and every parameter of the camera is one.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from virst_ros.launch_arguments import launch_arguments
from virst_ros.parameters import CameraParameters


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            argument.name, default_value=argument.default, description=argument.description
        )
        for argument in launch_arguments(CameraParameters)
    ]
    arguments.append(
        DeclareLaunchArgument(
            "image",
            default_value="/camera/image_raw",
            description="Topic of the camera image, of the camera and of the node.",
        )
    )
    # First: it sets the DDS profile, which the camera needs more than anyone.
    segment = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare("virst_ros"), "launch", "segment.launch.py"])
        )
    )
    camera = Node(
        package="virst_ros",
        executable="virst-camera",
        name="camera",
        namespace="camera",
        parameters=[
            {
                argument.name: ParameterValue(
                    LaunchConfiguration(argument.name), value_type=argument.kind
                )
                for argument in launch_arguments(CameraParameters)
            }
        ],
        remappings=[("image_raw", LaunchConfiguration("image"))],
        output="screen",
    )
    return LaunchDescription([*arguments, segment, camera])
