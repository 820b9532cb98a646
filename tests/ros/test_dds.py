"""The DDS profile that the project ships: who gets it, and camera images of another process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import signal
import sys
import xml.etree.ElementTree as ET

import pytest

from virst_ros import dds

FRAMES = 60
# On their way at once: fewer than the 5 that best effort keeps, and than fit into shared memory.
BURST = 3
HEIGHT, WIDTH = 720, 1280
CONFIG = Path(__file__).resolve().parents[2] / "config"
PROFILE = str(CONFIG / "fastdds.xml")
# 4K with four channels.
LARGE_HEIGHT, LARGE_STEP = 2160, 4 * 3840


@pytest.mark.parametrize(
    "distro, names",
    [
        ("kilted", ["FASTDDS_DEFAULT_PROFILES_FILE"]),
        ("", ["FASTDDS_DEFAULT_PROFILES_FILE"]),
        ("jazzy", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]),
        ("humble", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]),
    ],
)
def test_the_profile_has_the_names_that_the_distribution_reads(distro, names):
    environment = {"ROS_DISTRO": distro, "FASTDDS_DEFAULT_PROFILES_FILE": ""}

    assert dds.profile_environment(environment) == dict.fromkeys(names, PROFILE)


@pytest.mark.parametrize("name", dds.PROFILE_VARIABLES)
@pytest.mark.parametrize("distro", ["jazzy", "kilted"])
def test_a_profile_of_the_user_wins(name, distro):
    assert dds.profile_environment({"ROS_DISTRO": distro, name: "/their/profile.xml"}) == {}


def test_the_demo_and_the_bench_give_every_process_the_profile(monkeypatch, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    from virst_ros.demo import __main__ as demo
    from virst_ros.demo import bench, processes

    environment = {"ROS_DISTRO": "kilted"}
    monkeypatch.setattr(os, "environ", environment)
    processes.set_environment(tmp_path)

    assert environment["FASTDDS_DEFAULT_PROFILES_FILE"] == PROFILE
    assert demo.set_environment is bench.set_environment is processes.set_environment


def test_an_installed_package_has_its_own_profile(monkeypatch, tmp_path):
    packages = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2")
    monkeypatch.setattr(dds, "__file__", str(tmp_path / "lib" / "virst_ros" / "dds.py"))
    monkeypatch.setattr(packages, "get_package_share_directory", lambda name: f"/share/{name}")

    assert dds.profile_path() == Path("/share/virst_ros/config/fastdds.xml")


def test_best_effort_720p_images_arrive(start_process, ros_node, spin_until):
    """None does with Fast DDS's defaults. The writer waits for what it is told to have arrived."""
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    arrived, damaged = [], []
    arrivals = ros_node.create_publisher(UInt32, "arrivals", FRAMES)

    def on_image(message: Image) -> None:
        index, data = int(message.header.frame_id), message.data
        arrived.append(index)
        if len(data) != 3 * HEIGHT * WIDTH or {data[0], data[-1]} != {index}:
            damaged.append(index)
        arrivals.publish(UInt32(data=index))

    ros_node.create_subscription(Image, "image", on_image, qos_profile_sensor_data)
    writer = start_process(__file__, "write")

    assert spin_until(lambda: writer.popen.poll() is not None), "an image was lost"
    assert writer.popen.returncode == 0, writer.output
    assert set(arrived) == set(range(FRAMES))
    assert not damaged


def test_the_profile_for_large_images_is_the_other_one_with_more_memory():
    (small, large) = (ET.parse(CONFIG / f"fastdds{name}.xml") for name in ("", "_large"))
    sizes = [tree.find(".//{*}segment_size") for tree in (small, large)]

    assert int(sizes[1].text) > 3 * LARGE_HEIGHT * LARGE_STEP
    sizes[0].text = sizes[1].text
    assert ET.canonicalize(ET.tostring(small.getroot())) == ET.canonicalize(
        ET.tostring(large.getroot())
    )


@pytest.mark.parametrize("profile, arrives", [("fastdds.xml", False), ("fastdds_large.xml", True)])
def test_a_4k_image_waits_for_a_reader_that_is_late_where_the_writer_has_memory_for_it(
    start_process, ros_node, spin_until, profile, arrives
):
    """The reader stands still while the image is written; it has the smaller profile itself.

    Best effort may lose an image for other reasons, too (one was lost in CI; perhaps the reader
    was stopped inside the transport). So there are three: with the memory one arrives, without it
    none does.
    """
    from std_msgs.msg import String

    written, arrived = [], []
    orders = ros_node.create_publisher(String, "orders", 100)
    ros_node.create_subscription(String, "written", lambda m: written.append(m.data), 100)
    ros_node.create_subscription(String, "arrived", lambda m: arrived.append(m.data), 100)
    reader = start_process(__file__, "read", env={dds.PROFILE_VARIABLES[0]: PROFILE})
    start_process(__file__, "obey", env={dds.PROFILE_VARIABLES[0]: str(CONFIG / profile)})

    def passes(name: str) -> bool:
        def come() -> bool:
            orders.publish(String(data=name))
            return name in arrived

        return spin_until(come)

    assert passes("before")
    for turn in range(3):
        reader.popen.send_signal(signal.SIGSTOP)
        try:
            orders.publish(String(data=f"large {turn}"))
            assert spin_until(lambda name=f"large {turn}": name in written)
        finally:
            reader.popen.send_signal(signal.SIGCONT)
        assert passes(f"after {turn}")
    assert any(name.startswith("large") for name in arrived) == arrives


def obey() -> None:
    """Publishes an image, large where its name begins so, for each name that it is told."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    with rclpy.init():
        node = rclpy.create_node("obey")
        publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
        written = node.create_publisher(String, "written", 100)
        large = Image(height=LARGE_HEIGHT, width=LARGE_STEP // 4, step=LARGE_STEP)
        large.data.frombytes(bytes(LARGE_HEIGHT * LARGE_STEP))

        def on_order(order: String) -> None:
            message = large if order.data.startswith("large") else Image()
            message.header.frame_id = order.data
            publisher.publish(message)
            written.publish(order)

        node.create_subscription(String, "orders", on_order, 100)
        _spin(node)


def read() -> None:
    """Tells the name of each image that arrives whole."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    with rclpy.init():
        node = rclpy.create_node("read")
        arrived = node.create_publisher(String, "arrived", 100)

        def on_image(message: Image) -> None:
            if len(message.data) == message.height * message.step:
                arrived.publish(String(data=message.header.frame_id))

        # None is replaced by later ones before it is taken.
        quality = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(Image, "image", on_image, quality)
        _spin(node)


def _spin(node) -> None:
    """Until SIGINT."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


def write() -> None:
    """Publishes FRAMES images in bursts, each once all of the burst before have arrived."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import UInt32

    with rclpy.init():
        node = rclpy.create_node("writer")
        arrived: set[int] = set()
        node.create_subscription(UInt32, "arrivals", lambda m: arrived.add(m.data), FRAMES)
        publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)

        def publish(index: int) -> None:
            message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
            message.header.frame_id = str(index)
            message.data.frombytes(bytes([index]) * (3 * HEIGHT * WIDTH))
            publisher.publish(message)

        # The first image again and again: the two sides have to find each other.
        while 0 not in arrived:
            publish(0)
            rclpy.spin_once(node, timeout_sec=2.0)
        for first in range(1, FRAMES, BURST):
            burst = range(first, min(first + BURST, FRAMES))
            for index in burst:
                publish(index)
            while not arrived.issuperset(burst):
                rclpy.spin_once(node, timeout_sec=0.5)


if __name__ == "__main__":
    {"write": write, "obey": obey, "read": read}[sys.argv[1]]()
