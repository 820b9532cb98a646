"""What other nodes do with the node's masks: names, boxes, confidence, compressed images."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from pathlib import Path
import sys
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.clock import Clock
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from robot import HEIGHT, LATCHED, WIDTH, header, image, red_square
from semantic_layer import SemanticLayer, cloud
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
import vision_standin

from virst_model.answer import TRACKING, Query, QueryResult, StepResult
import virst_ros
from virst_ros import publishers
from virst_ros.convert import array_to_png, bgr_to_jpeg, choose_backend, image_to_array
from virst_ros.legend import Legend
from virst_ros.packages import find_vision

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = str(ROOT / "tests" / "fixtures" / "scripted_segment.py")
FAST = ("--ros-args", "-p", "diagnostics_period_s:=0.2")
HAS_VISION = importlib.util.find_spec("vision_msgs") is not None
needs_vision = pytest.mark.skipif(not HAS_VISION, reason="vision_msgs is not installed: no wheel")
SENSOR = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture(params=["stand-in", pytest.param("real", marks=needs_vision)])
def vision(request, monkeypatch) -> ModuleType:
    """virst_ros.vision, on stand-ins of the messages and, where they are installed, on them."""
    if request.param == "stand-in":
        package = ModuleType("vision_msgs")
        package.msg = vision_standin
        monkeypatch.setitem(sys.modules, "vision_msgs", package)
        monkeypatch.setitem(sys.modules, "vision_msgs.msg", vision_standin)
    # Both are put back as they were: what is imported here is gone afterwards.
    monkeypatch.setitem(sys.modules, "virst_ros.vision", None)
    monkeypatch.setattr(virst_ros, "vision", None, raising=False)
    del sys.modules["virst_ros.vision"]
    return importlib.import_module("virst_ros.vision")


def step(*queries: Query, at: slice = slice(40, 60), logit: float = 2.0) -> StepResult:
    """All queries see the same square; the labels are the last one's."""
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[at, 30:50] = True
    box, area = (30, at.start, 20, at.stop - at.start), int(mask_HW.sum())
    answers = tuple(
        QueryResult(q.id, q.label, q.text, TRACKING, 0.75, 0.5, mask_HW, box, area, q.name)
        for q in queries
    )
    byte_HW = mask_HW.astype(np.uint8)
    logits_HW = np.where(mask_HW, logit, -logit)
    return StepResult(1, 1.0, answers, byte_HW * 255, byte_HW * queries[-1].label, logits_HW)


CUP, DOOR = Query(7, "the red cup", 3, "cup"), Query(9, "the door", 5, "door")


# Messages of vision_msgs.


def test_label_info_names_each_label_and_has_no_entry_for_zero(vision):
    message = vision.label_info((CUP, DOOR), header(1.5))

    assert [(one.class_id, one.class_name) for one in message.class_map] == [
        (3, "cup"),
        (5, "door"),
    ]
    assert message.header == header(1.5) and message.threshold == pytest.approx(0.5)


def test_a_detection_is_the_box_of_a_mask_with_the_headers_of_the_image(vision):
    message = vision.detections(step(CUP), header(2.5))
    (detection,) = message.detections
    (result,) = detection.results

    assert message.header == detection.header == header(2.5)
    assert (detection.id, result.hypothesis.class_id, result.hypothesis.score) == (
        "7",
        "cup",
        0.75,
    )
    centre, box = detection.bbox.center.position, detection.bbox
    assert (centre.x, centre.y, box.size_x, box.size_y) == (40.0, 50.0, 20.0, 20.0)


def test_what_is_not_seen_is_no_detection(vision):
    unseen = dataclasses.replace(step(CUP).results[0], box=(0, 0, 0, 0), area=0)
    result = dataclasses.replace(step(CUP), results=(unseen,))

    assert list(vision.detections(result, header(1.0)).detections) == []
    nothing = vision.detections(None, header(1.0))
    assert list(nothing.detections) == [] and nothing.header == header(1.0)


class Heard:
    """Endpoints of which each keeps what is published; `listened` are those with a listener."""

    def __init__(self, *listened: str) -> None:
        self.messages: dict[str, list] = {}
        self.listened = listened

    def publish(self, kind: type, topic: str, qos: QoSProfile):
        self.messages[topic] = []
        return HeardTopic(self.messages[topic], topic in self.listened)

    publish_while_active = publish

    def destroy_lifecycle_publisher(self, publisher) -> None:
        pass


class HeardTopic:
    def __init__(self, messages: list, is_listened: bool) -> None:
        self._messages, self._is_listened = messages, is_listened

    def publish(self, message) -> None:
        self._messages.append(message)

    def get_subscription_count(self) -> int:
        return int(self._is_listened)


def test_label_info_is_published_when_a_name_comes_or_goes_and_only_then(vision):
    heard = Heard()
    legend = Legend(Clock(), heard, vision)
    for queries in ((), (CUP,), (dataclasses.replace(CUP, enabled=False),), (CUP, DOOR), (DOOR,)):
        legend.set_queries(queries)

    names = [[one.class_name for one in m.class_map] for m in heard.messages["label_info"]]
    assert names == [[], ["cup"], ["cup", "door"], ["door"]]


def test_without_vision_msgs_the_node_says_what_it_does_not_offer(monkeypatch):
    for name in ("vision_msgs", "vision_msgs.msg"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "virst_ros.vision", raising=False)
    monkeypatch.delattr(virst_ros, "vision", raising=False)
    said: list[str] = []

    assert find_vision(said.append) is None
    assert "label_info and detections are not offered" in said[0]
    heard = Heard()
    Legend(Clock(), heard, None).set_queries((CUP,))
    publishers.Publishers(heard, heard, None, overlay=True)
    assert not {"label_info", "detections"} & heard.messages.keys()


# What nobody listens to costs nothing.

ALWAYS = {"masks", "labels", "segmentations"}
ON_DEMAND = {
    *("confidence", "labels/compressed", "detections", "overlay", "overlay/compressed"),
}


class Dear(StepResult):
    """Counts how often its confidence is made."""

    made = 0

    def confidence_HW(self) -> np.ndarray:
        type(self).made += 1
        return super().confidence_HW()


def dear(*queries: Query) -> Dear:
    Dear.made = 0
    return Dear(
        **{f.name: getattr(step(*queries), f.name) for f in dataclasses.fields(StepResult)}
    )


def published(heard: Heard, vision, frame: publishers.Answered) -> set[str]:
    ours = publishers.Publishers(heard, heard, vision, overlay=True)
    ours.publish(frame)
    assert heard.messages.keys() == ALWAYS | ON_DEMAND
    return {topic for topic, messages in heard.messages.items() if messages}


def test_what_nobody_listens_to_is_not_made(vision, monkeypatch):
    for name in ("array_to_png", "bgr_to_jpeg"):
        monkeypatch.setattr(publishers.convert, name, None)  # a call of it fails
    monkeypatch.setattr(publishers, "draw_overlay", None)
    monkeypatch.setattr(vision, "detections", None)
    frame = publishers.Answered(header(1.0), red_square(), dear(CUP))

    assert published(Heard(), vision, frame) == ALWAYS
    assert Dear.made == 0


@pytest.mark.parametrize("topic", sorted(ON_DEMAND))
def test_what_somebody_listens_to_is_made_and_nothing_else(vision, topic):
    frame = publishers.Answered(header(1.0), red_square(), dear(CUP))
    heard = Heard(topic)

    assert published(heard, vision, frame) == ALWAYS | {topic}
    assert Dear.made == (topic == "confidence")
    (message,) = heard.messages[topic]
    assert message.header == header(1.0)


def test_the_overlay_is_drawn_once_for_all_who_listen(vision, monkeypatch):
    drawn = []
    draw = publishers.draw_overlay
    monkeypatch.setattr(publishers, "draw_overlay", lambda *a: (drawn.append(1), draw(*a))[1])
    frame = publishers.Answered(header(1.0), red_square(), step(CUP))

    published(Heard("overlay", "overlay/compressed"), vision, frame)
    assert len(drawn) == 1


def test_without_a_query_people_see_the_camera_and_there_are_no_detections(vision):
    heard = Heard(*ALWAYS, *ON_DEMAND)
    frame = publishers.Answered(header(1.0), red_square(), None)

    assert published(heard, vision, frame) == {"detections", "overlay", "overlay/compressed"}
    assert list(heard.messages["detections"][0].detections) == []
    (overlay,) = heard.messages["overlay"]
    assert bytes(overlay.data) == red_square()[..., ::-1].tobytes()


def test_compressed_images_say_what_they_are_as_compressed_image_transport_does():
    labels_HW = np.arange(256, dtype=np.uint8).reshape(16, 16)
    png = array_to_png(labels_HW, header(1.0))
    jpeg = bgr_to_jpeg(red_square()[..., ::-1], header(1.0))

    assert (png.format, jpeg.format) == ("mono8; png compressed ", "bgr8; jpeg compressed bgr8")
    read_HW3 = image_to_array(png, choose_backend())
    assert all(np.array_equal(read_HW3[..., channel], labels_HW) for channel in range(3))
    assert np.abs(image_to_array(jpeg, choose_backend())[50, 40] - [255, 0, 0]).max() < 10


# A subscriber that does what Nav2's layer does.


def square(top: int) -> set[tuple[int, int]]:
    """The tiles of the pixels of `step`'s square."""
    return {(x, y) for x in range(30, 50) for y in range(top, top + 20)}


def feed(layer: SemanticLayer, heard: Heard) -> None:
    """What has been published since, as it comes."""
    for message in heard.messages["label_info"]:
        layer.on_label_info(message)
    for kind in ("labels", "confidence"):
        for message in heard.messages[kind]:
            layer.on(kind, message)
    for message in heard.messages["labels"]:
        layer.on("cloud", cloud(message))
    for messages in heard.messages.values():
        messages.clear()


def test_only_pixels_of_the_named_class_mark_and_old_tiles_keep_their_name(vision):
    from virst_model.queries.book import QueryBook

    heard, layer = Heard("confidence"), SemanticLayer({"cup": 254})
    legend = Legend(Clock(), heard, vision)
    ours = publishers.Publishers(heard, heard, vision, overlay=False)
    book = QueryBook(legend.set_queries)

    book.submit("the red cup", append=False, name="cup")
    ours.publish(publishers.Answered(header(1.0), red_square(), step(*book.queries)))
    feed(layer, heard)
    assert layer.marked() == square(40)

    book.submit("the door", append=False, name="door")  # costs nothing, and is elsewhere
    elsewhere = step(*book.queries, at=slice(80, 100))
    ours.publish(publishers.Answered(header(2.0), red_square(), elsewhere))
    feed(layer, heard)
    named = {tile: layer.names[seen.label] for tile, seen in layer.tiles.items()}
    assert {tile for tile, name in named.items() if name == "door"} == square(80)
    assert layer.marked() == square(40)


@needs_vision
def test_a_layer_of_nav2_reads_the_nodes_masks(start_process, robot, ros_node):
    from vision_msgs.msg import Detection2DArray, LabelInfo

    layer, boxes = SemanticLayer({"cup": 254}), []
    clouds = ros_node.create_publisher(PointCloud2, "/cloud", qos_profile_sensor_data)
    ros_node.create_subscription(LabelInfo, "/virst/label_info", layer.on_label_info, LATCHED)
    ros_node.create_subscription(Detection2DArray, "/virst/detections", boxes.append, 10)
    for kind, type_, topic in (
        ("labels", Image, "/virst/labels"),
        ("confidence", Image, "/virst/confidence"),
        ("cloud", PointCloud2, "/cloud"),
    ):
        on = lambda message, kind=kind: layer.on(kind, message)  # noqa: E731
        ros_node.create_subscription(type_, topic, on, SENSOR)
    robot.wait_until_active(start_process(SCRIPTED, *FAST))
    stamps = iter(range(1, 1000))

    def show(frame_HW3: np.ndarray) -> None:
        """Until the layer has taken two more frames: the last of them is new."""
        enough = layer.taken + 2

        def taken() -> bool:
            message = image(frame_HW3, float(next(stamps)))
            robot.answer_to(message)
            clouds.publish(cloud(message))
            return layer.taken >= enough

        assert robot.spin_until(taken)

    robot.set_query("the red circle", name="cup")
    show(red_square())
    assert layer.marked() == square(40)
    assert robot.spin_until(lambda: boxes and boxes[-1].detections)
    assert boxes[-1].detections[0].results[0].hypothesis.class_id == "cup"

    robot.set_query("red", name="door")
    show(np.roll(red_square(), 40, axis=0))
    named = {tile: layer.names[seen.label] for tile, seen in layer.tiles.items()}
    assert {tile for tile, name in named.items() if name == "door"} == square(80)
    assert layer.marked() == square(40)

    robot.set_query("")
    boxes.clear()
    seen = lambda: bool(boxes)  # noqa: E731
    assert robot.publish_until(image(red_square(), 2000.0), seen)
    assert list(boxes[-1].detections) == []


def test_optional_images_come_to_those_who_listen(start_process, robot, ros_node):
    got: dict[str, list] = {}
    for kind, topic in (
        (Image, "confidence"),
        (CompressedImage, "labels/compressed"),
        (CompressedImage, "overlay/compressed"),
    ):
        got[topic] = []
        ros_node.create_subscription(kind, f"/virst/{topic}", got[topic].append, 1)
    robot.wait_until_active(start_process(SCRIPTED, *FAST, "-p", "query:=red"))
    stamps = iter(range(1, 1000))

    def all_came() -> bool:
        robot.answer_to(image(red_square(), float(next(stamps))))
        return all(got.values())

    assert robot.spin_until(all_came)
    confidence = got["confidence"][-1]
    values = np.frombuffer(confidence.data, np.uint8).reshape(HEIGHT, WIDTH)
    assert confidence.encoding == "mono8"
    assert set(np.unique(values)) == {0, round(255 / (1 + np.exp(-2.0)))}
    assert {(x, y) for y, x in np.argwhere(values)} == square(40)
    labels_HW3 = image_to_array(got["labels/compressed"][-1], choose_backend())
    assert {(x, y) for y, x in np.argwhere(labels_HW3[..., 0] == 1)} == square(40)


def test_the_costmaps_file_names_the_nodes_topics():
    yaml = pytest.importorskip("yaml")
    text = (ROOT / "config" / "nav2_semantic.yaml").read_text(encoding="utf-8")
    layer = yaml.safe_load(text)["local_costmap"]["local_costmap"]["ros__parameters"][
        "virst_layer"
    ]
    camera = layer[layer["observation_sources"]]

    topics = {camera[f"{kind}_topic"] for kind in ("segmentation", "confidence", "labels")}
    assert topics == {"/virst/labels", "/virst/confidence", "/virst/label_info"}
    for kind in camera["class_types"]:
        assert camera[kind]["classes"] and 0 < camera[kind]["cost"] <= 254
