"""The verbs of `virst` that need ROS 2: setup.py names them in the group `virst.verbs`."""

from virst_model.verb import Verb

_ROS = "ROS 2, sourced or in this virtual environment, and virst_interfaces"

CAMERA = Verb("virst_ros.camera", "scene, video, folder or webcam as a ROS camera", needs=_ROS)
VIEWER = Verb(
    "virst_ros.viewer",
    "a page that shows what the node sees",
    needs=f"{_ROS}, and aiohttp (pip install 'virst_ros[viewer]')",
)
QUERY = Verb("virst_ros.query", "tells the node what to follow", needs=_ROS)
