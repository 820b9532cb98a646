"""config/virst.policy.xml allows what the running nodes do, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from graph import endpoints
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = str(ROOT / "tests" / "fixtures" / "scripted_segment.py")
POLICY = ROOT / "config" / "virst.policy.xml"
RIGHTS = {
    "topic": ("publish", "subscribe"),
    "service": ("reply", "request"),
    "action": ("execute", "call"),
}
# Of the policy, what a node has only at times: without vision_msgs, by a parameter, by the distro.
OF_VISION = {("publish", "/virst/label_info"), ("publish", "/virst/detections")}
HAS_VISION = importlib.util.find_spec("vision_msgs") is not None
OF_BOND = {("publish", "/bond"), ("subscribe", "/bond")}
AT_TIMES = {("subscribe", "/camera/image_raw/compressed")} | OF_BOND
AT_TIMES |= set() if HAS_VISION else OF_VISION


def policy(enclave: str) -> set[tuple[str, str]]:
    """(right, full name) of all that an enclave's one profile allows."""
    (profile,) = (
        ET.parse(POLICY)
        .getroot()
        .findall(f"./enclaves/enclave[@path='{enclave}']/profiles/profile")
    )
    allowed = set()
    for kind, rights in RIGHTS.items():
        for group in profile.findall(f"{kind}s"):
            given = [right for right in rights if group.get(right) == "ALLOW"]
            assert given, f"{kind}s of {enclave} that nothing may be done with"
            names = [entry.text for entry in group.findall(kind)]
            assert len(set(names)) == len(names), f"{enclave} has one twice: {names}"
            allowed |= {(right, name) for right in given for name in names}
    assert profile.get("ns").rstrip("/") + "/" + profile.get("node") == enclave
    return allowed


def without_descriptions(rights: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Less the service that Humble's nodes do not have."""
    return {(right, name) for right, name in rights if "get_type_description" not in name}


def compare(spin_until, look, allowed: set[tuple[str, str]], at_times=frozenset()) -> None:
    """What `look` sees becomes what is allowed, less what is there only at times."""
    wanted = allowed - at_times

    def complete() -> bool:
        return look().keys() >= without_descriptions(wanted)

    spin_until(complete)
    seen = set(look())
    assert sorted(seen - allowed) == [], f"missing in {POLICY.name}"
    assert sorted(without_descriptions(wanted - seen)) == [], "allowed, and no node has it"


def test_the_policy_is_the_graph_of_the_node(start_process, ros_node, spin_until):
    values = ("use_sim_time:=true", "query:=the red circle")
    parameters = [word for value in values for word in ("-p", value)]
    start_process(SCRIPTED, "--ros-args", "-r", "image:=/camera/image_raw", *parameters)

    look = lambda: endpoints(ros_node, "/virst", "segment")  # noqa: E731
    allowed = policy("/virst/segment")
    assert allowed > AT_TIMES
    compare(spin_until, look, allowed, AT_TIMES)


CLOCK = {("publish", "/clock")}
TRUTH = {("publish", "/camera/truth/ids"), ("publish", "/camera/truth/scene")}


@pytest.mark.parametrize("source, others", [("scene", CLOCK), ("bag", TRUTH)])
def test_the_policy_is_the_graph_of_the_camera(
    start_process, ros_node, spin_until, tmp_path, source, others
):
    """A scene has a truth, a bag a clock."""
    words = ["-p", "hfov_deg:=70.0"]
    if source == "bag":
        pytest.importorskip("rosbags", reason="needs the extra bags")
        from bags import film, write_bag

        bag = write_bag(tmp_path / "bag", film([np.zeros((8, 8, 3), np.uint8)] * 2, [0.0, 0.1]))
        words += ["-p", f"source:={bag}", "-p", "clock:=true"]
    start_process("-m", "virst_ros.camera", "--ros-args", *words)

    look = lambda: endpoints(ros_node, "/camera", "camera")  # noqa: E731
    compare(spin_until, look, policy("/camera/camera"), others)


ASKED = {
    "red": ("request", "/virst/set_query"),
    "--list": ("subscribe", "/virst/queries"),
    "--remove=1": ("request", "/virst/remove_query"),
    "--enable=1": ("request", "/virst/enable_query"),
}


@pytest.mark.parametrize("word", ASKED)
def test_the_policy_is_the_graph_of_the_query_tool(start_process, ros_node, spin_until, word):
    """Without a node it waits for an answer."""
    start_process("-m", "virst_ros.query", word, "--timeout", "300")

    look = lambda: endpoints(ros_node, "/", "virst_query")  # noqa: E731
    compare(spin_until, look, policy("/virst_query"), {*ASKED.values()} - {ASKED[word]})


def test_the_policy_is_the_graph_of_the_viewer(start_process, ros_node, spin_until):
    """Nobody looks, so that no picture is subscribed to."""
    pytest.importorskip("aiohttp", reason="needs the extra viewer")
    from virst_ros import questioner

    start_process("-m", "virst_ros.viewer", "--port", "0")
    asks = {("call", "/virst/ask")} if questioner.Ask is None else set()

    look = lambda: endpoints(ros_node, "/virst", "viewer")  # noqa: E731
    looks = {("subscribe", "/virst/overlay/compressed")}
    assert looks <= policy("/virst/viewer")
    compare(spin_until, look, policy("/virst/viewer"), looks | asks)
