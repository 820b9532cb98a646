"""segment.launch.py and a camera for those who have none: a synthetic scene, a video or a webcam.

    ros2 launch virst_ros demo.launch.py query:="the red circle"
    ros2 launch virst_ros demo.launch.py source:=video.mp4

Every argument of segment.launch.py works here too.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Name, a parameter of the camera -> type, default and description.
CAMERA = {
    "source": (str, "scene", "scene, a video file, a folder of images, or a webcam's number."),
    "seed": (int, "0", "Which scene."),
    "rate_hz": (float, "15.0", "Pictures a second."),
    "width": (int, "0", "Pixels; 0: the source's own, 640 for a scene."),
    "height": (int, "0", "Pixels; 0: the source's own, 480 for a scene."),
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (_, default, description) in CAMERA.items()
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
                name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                for name, (kind, _, _) in CAMERA.items()
            }
        ],
        remappings=[("image_raw", LaunchConfiguration("image"))],
        output="screen",
    )
    return LaunchDescription([*arguments, segment, camera])
