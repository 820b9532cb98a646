"""The launch files: their arguments are the node's parameters, and they start what they say."""

from __future__ import annotations

import ast
from pathlib import Path

from patience import LIMIT_S
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = ROOT / "launch"
# Arguments of segment.launch.py that are no parameters of the node's own.
LAUNCHER_ARGUMENTS = {"image", "namespace", "params_file", "use_sim_time", "log_level"}

START = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


def assigned(path: Path, name: str) -> dict[str, ast.expr]:
    """The dict literal that the file assigns to `name` at its top."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return {key.value: value for key, value in zip(node.value.keys, node.value.values)}
    raise LookupError(f"{path} assigns no {name}")


def node_parameters() -> dict[str, tuple[str, object]]:
    """Name -> (type, default) of the dataclass Parameters: `name: type = f(default, ...)`."""
    tree = ast.parse((ROOT / "virst_ros" / "parameters.py").read_text())
    (declared,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Parameters"
    )
    return {
        field.target.id: (ast.unparse(field.annotation), ast.literal_eval(field.value.args[0]))
        for field in declared.body
        if isinstance(field, ast.AnnAssign)
    }


def test_launch_arguments_are_the_nodes_parameters():
    launched = assigned(LAUNCH / "segment.launch.py", "PARAMETERS")
    types = {name: ast.unparse(value.elts[0]) for name, value in launched.items()}
    assert types == {name: kind for name, (kind, _) in node_parameters().items()}


def test_launch_has_the_arguments_that_are_no_parameters():
    assert assigned(LAUNCH / "segment.launch.py", "OTHERS").keys() == LAUNCHER_ARGUMENTS


def test_every_launch_argument_is_described():
    launched = assigned(LAUNCH / "segment.launch.py", "PARAMETERS")
    launched |= assigned(LAUNCH / "segment.launch.py", "OTHERS")
    launched |= assigned(LAUNCH / "demo.launch.py", "CAMERA")
    for name, value in launched.items():
        assert ast.literal_eval(value.elts[-1]).endswith("."), name


def test_demo_arguments_are_parameters_of_the_camera():
    tree = ast.parse((ROOT / "virst_ros" / "camera.py").read_text())
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert assigned(LAUNCH / "demo.launch.py", "CAMERA").keys() <= words


def test_the_shipped_parameters_are_the_defaults():
    document = yaml.safe_load((ROOT / "config" / "virst.yaml").read_text())
    shipped = document["/**"]["ros__parameters"]
    assert shipped == {name: default for name, (_, default) in node_parameters().items()}
    assert {name: type(value).__name__ for name, value in shipped.items()} == {
        name: kind for name, (kind, _) in node_parameters().items()
    }


@pytest.fixture
def launch(start_process):
    """launch("segment.launch.py", "query:=the red circle") -> Process."""
    reason = "needs ROS 2's launch and launch_ros, which are not on PyPI"
    # PyPI's `launch` is another project.
    pytest.importorskip("launch.launch_description_sources", reason=reason)
    pytest.importorskip("launch_ros", reason=reason)
    return lambda name, *arguments: start_process("-c", START, str(LAUNCH / name), *arguments)


def parameter_of(ros_node, spin_until, node: str, name: str) -> object:
    """The present value of a parameter of another node."""
    from rclpy.parameter import parameter_value_to_python
    from rclpy.parameter_client import AsyncParameterClient

    client = AsyncParameterClient(ros_node, node)
    assert client.wait_for_services(LIMIT_S)
    future = client.get_parameters([name])
    assert spin_until(future.done)
    return parameter_value_to_python(future.result().values[0])


@pytest.mark.slow
def test_segment_launch_starts_the_node_with_its_arguments(launch, ros_node, spin_until):
    process = launch(
        "segment.launch.py",
        "query:=7",
        "window_period_s:=1",
        "alpha:=2",
        "image:=/my/camera/image_raw",
        "namespace:=front",
    )

    def listens() -> bool:
        return bool(ros_node.get_subscriptions_info_by_topic("/my/camera/image_raw"))

    assert spin_until(listens), process.output
    services = dict(ros_node.get_service_names_and_types())
    assert services["/front/set_query"] == ["virst_interfaces/srv/SetQuery"]
    read = {
        name: parameter_of(ros_node, spin_until, "/front/segment", name)
        for name in ("query", "window_period_s", "alpha", "reground_every")
    }
    assert read == {"query": "7", "window_period_s": 1.0, "alpha": 2, "reground_every": 8}
    process.stop()


@pytest.mark.slow
def test_demo_launch_gives_masks(launch, ros_node, spin_until):
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image

    masks: list[Image] = []
    ros_node.create_subscription(Image, "/virst/masks", masks.append, QoSProfile(depth=1))
    process = launch("demo.launch.py", "query:=the red circle", "width:=320", "height:=240")
    assert spin_until(lambda: len(masks) >= 3), process.output
    assert (masks[0].width, masks[0].height, masks[0].encoding) == (320, 240, "mono8")
    assert masks[0].header.frame_id == "camera"
    process.stop()
