"""Messages in bags are those of ROS, and their definitions are where they are looked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra bags")

import bags

from virst_model.answer import TRACKING, Query, QueryResult, StepResult
from virst_model.sources import bag_messages

ROOT = Path(__file__).resolve().parents[2]
# As rosidl computes it of vision_msgs' own file.
LABEL_INFO = "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783"


def test_the_messages_of_the_package_are_all_there():
    ours = {name for name in bag_messages.types().fielddefs if name.startswith("virst_inter")}
    files = {path.stem for path in (ROOT / "virst_interfaces" / "msg").glob("*.msg")}
    assert {name.rpartition("/")[2] for name in ours} == files


def test_label_info_is_that_of_vision_msgs():
    assert bag_messages.types().hash_rihs01(bag_messages.LABEL_INFO) == LABEL_INFO


def test_types_are_those_that_ros_has_built():
    interfaces = pytest.importorskip("virst_interfaces", reason="needs ROS 2")
    (prefix,) = (p for p in Path(interfaces.__file__).parents if (p / "share").is_dir())
    built = list((prefix / "share" / "virst_interfaces" / "msg").glob("*.json"))
    if not built:
        pytest.skip("this ROS 2 has no hashes of types")  # Humble
    for path in built:
        for entry in json.loads(path.read_text())["type_hashes"]:
            if entry["type_name"].startswith("virst_interfaces/msg/"):
                hashed = bag_messages.types().hash_rihs01(entry["type_name"])
                assert hashed == entry["hash_string"], entry["type_name"]


def test_ros_reads_what_is_written():
    serialization = pytest.importorskip("rclpy.serialization", reason="needs ROS 2")
    from virst_interfaces.msg import QueryArray, SegmentationArray

    header = bags.header(12.5)
    mask_HW = np.ones((2, 3), bool)
    answer = QueryResult(2, 3, "the rød cup", TRACKING, 0.5, 0.25, mask_HW, (1, 2, 3, 4), 6, "cup")
    byte_HW = mask_HW.astype(np.uint8)
    result = StepResult(0, 0.0, (answer,), byte_HW, byte_HW)
    asked = bag_messages.query(Query(2, "a", 3, "cup"), "lost", header.stamp, 0.5, 0.25)

    def read(message, kind):
        data = bag_messages.types().serialize_cdr(message, message.__msgtype__)
        return serialization.deserialize_message(bytes(data), kind)

    array = read(bag_messages.segmentations(result, header), SegmentationArray)
    (said,) = array.segmentations
    assert (array.header.stamp.sec, array.header.stamp.nanosec) == (12, 500_000_000)
    assert (said.id, said.label, said.text, said.state) == (2, 3, "the rød cup", "tracking")
    box = said.box
    assert (box.x_offset, box.y_offset, box.width, box.height) == (1, 2, 3, 4)
    assert (said.score, said.presence, said.area) == (0.5, 0.25, 6)
    (line,) = read(bag_messages.queries([asked], header.stamp), QueryArray).queries
    assert (line.id, line.label, line.name, line.state) == (2, 3, "cup", "lost")


def test_definitions_come_with_an_installed_package(tmp_path):
    """As pip and colcon install it: no link, and not beside virst_interfaces."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "package.xml", "resource", "launch", "config"):
        whole = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        whole(ROOT / name, source / name)
    for name in ("virst_ros", "virst_model", "virst_interfaces"):
        unneeded = shutil.ignore_patterns("weights", "__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=unneeded)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-lib", str(tmp_path / "lib")],
        cwd=source,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source)
    code = "from virst_model.sources import bag_messages as m; print(m.__file__, *m.types().types)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "lib")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    where, *names = ended.stdout.split()
    assert Path(where).is_relative_to(tmp_path / "lib")
    assert {"virst_interfaces/msg/QueryArray", bag_messages.SEGMENTATIONS} <= set(names)


HOSTILE = [
    ("evil/msg/A", 'string NAME=\'\'\'"""\nraise SystemExit("ran")\n'),
    ("evil/msg/B", "uint8 x = 0\n    raise_ = exit('ran')\n"),
    ("evil/msg/C:\n    exit('ran')\nclass D", "uint8 x\n"),
    ("evil/msg/E", "uint8 __import__('os')._exit(7)\n"),
    ("evil/msg/F", "uint8[__import__('os')._exit(7)] x\n"),
    ("evil/msg/G", 'string NAME="\\"; exit(7); \\""\nuint8 x\n'),
]


@pytest.mark.parametrize("kind, definition", HOSTILE, ids=[name[:10] for name, _ in HOSTILE])
def test_a_definition_in_a_bag_is_no_code(tmp_path, kind, definition):
    """rosbags makes Python of definitions. Whether it takes these or not, nothing of them runs."""
    from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

    from virst_model.sources.bag import Bag
    from virst_model.sources.bag_writer import BagWriter

    messages = bags.film([np.zeros((2, 2, 3), np.uint8)], [0.0])
    bag = Bag(bags.write_bag(tmp_path / "in", messages))
    (images,) = bag.connections
    for form in (MessageDefinitionFormat.MSG, MessageDefinitionFormat.IDL):
        bag.connections = [
            images._replace(msgtype=kind, msgdef=MessageDefinition(form, definition))
        ]
        with BagWriter(tmp_path / form.name, as_mcap=True) as writer:
            writer.adopt(bag)
