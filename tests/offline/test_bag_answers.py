"""virst bag: the answers to the images of a bag, in a new bag."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra bags")

from bags import STAMPED_S, TYPES, compressed, film, raw, text, write_bag
from bars import Bar, watch_bars
from rosbags.highlevel import AnyReader
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from virst_model import Query, Session, SessionOptions, load
from virst_model.__main__ import main
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.metrics import boundary, region
from virst_model.sources.bag import Record
from virst_model.sources.bag_writer import BagWriter
from virst_model.synthetic.scenes import demo_scene

SQLITE3, MCAP = StoragePlugin.SQLITE3, StoragePlugin.MCAP
PERIOD_S = 0.1
ANSWERS = ("/virst/masks", "/virst/labels", "/virst/segmentations")
LATCHED = ("/virst/queries", "/virst/label_info")
LASTING = Qos(
    QosHistory.KEEP_ALL,
    3,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    *(QosTime(1, 2), QosTime(3, 4), QosLiveliness.AUTOMATIC, QosTime(5, 6), False),
)
RED, BLUE = "the red circle", "the blue square"


@pytest.fixture(scope="module")
def scene() -> Film:
    """Two seconds of the demo's scene."""
    return Film(demo_scene(0).render, 20, 1 / PERIOD_S, (120, 160))


@pytest.fixture(scope="module")
def camera(scene) -> list[tuple[str, float, object]]:
    """Its images, as a recorder has them."""
    return film(scene.images, scene.times)


def run(bag: Path, out: Path, *options: str, query: str = RED) -> int:
    return main(["bag", str(bag), str(out), "--query", query, "--engine", "torch", *options])


def read(path: Path) -> dict[str, list]:
    """Topic -> (recorded_ns, message) of each, by the definitions in the bag itself."""
    messages = defaultdict(list)
    with AnyReader([path]) as reader:
        for connection, recorded_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            messages[connection.topic].append((recorded_ns, message))
    return dict(messages)


def pixels(messages: list) -> np.ndarray:
    """uint8 (T, H, W)."""
    return np.stack([m.data.reshape(m.height, m.step)[:, : m.width] for _, m in messages])


def stamp_ns(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


@pytest.mark.parametrize("storage", [SQLITE3, MCAP])
def test_every_image_has_its_mask_label_and_segmentation_at_its_own_time(
    tmp_path, scene, camera, storage, capsys
):
    bag = write_bag(tmp_path / "in", camera, storage)
    assert run(bag, tmp_path / "out", "--query", BLUE) == 0
    assert f"out: 20 masks of 20 images on {camera[0][0]}\n" in capsys.readouterr().out

    images, answers = read(bag)[camera[0][0]], read(tmp_path / "out")
    assert set(answers) == {*ANSWERS, *LATCHED}
    for topic in ANSWERS:
        assert [at for at, _ in answers[topic]] == [at for at, _ in images]
        headers = [message.header for _, message in answers[topic]]
        assert [stamp_ns(h) for h in headers] == [stamp_ns(m.header) for _, m in images]
        assert {h.frame_id for h in headers} == {"eye"}
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {
        ".yaml",
        ".mcap" if storage == MCAP else ".db3",
    }


def test_masks_are_those_of_a_synchronous_session_and_the_same_twice(tmp_path, scene, camera):
    bag = write_bag(tmp_path / "in", camera)
    for name in ("one", "two"):
        assert run(bag, tmp_path / name, "--query", BLUE, "--delay", "2") == 0
    one, two = read(tmp_path / "one"), read(tmp_path / "two")

    options = SessionOptions(sync=True, grounding_delay_frames=2)
    with Session(load(), options) as session:
        session.set_queries((Query(1, RED, 1), Query(2, BLUE, 2)))
        steps = [session.step(image, t) for image, t in zip(scene.images, scene.times)]
    masks, labels = (np.stack([getattr(s, n) for s in steps]) for n in ("mask_HW", "labels_HW"))
    assert masks.any() and set(np.unique(labels)) == {0, 1, 2}
    for bag in (one, two):
        assert np.array_equal(pixels(bag["/virst/masks"]), masks)
        assert np.array_equal(pixels(bag["/virst/labels"]), labels)
    for (_, message), step in zip(one["/virst/segmentations"], steps, strict=True):
        for said, answer in zip(message.segmentations, step.results, strict=True):
            assert (said.id, said.label, said.text) == (answer.id, answer.label, answer.text)
            assert (said.state, said.area) == (answer.state, answer.area)
            box = said.box
            assert (box.x_offset, box.y_offset, box.width, box.height) == answer.box
            assert (said.score, said.presence) == pytest.approx((answer.score, answer.presence))


def test_the_engine_that_is_taken_by_default_gives_the_same_masks_twice(tmp_path, camera):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    bag = write_bag(tmp_path / "in", camera)
    for name in ("one", "two"):
        assert main(["bag", str(bag), str(tmp_path / name), "--query", RED]) == 0
    one, two = (read(tmp_path / name)["/virst/masks"] for name in ("one", "two"))
    assert pixels(one).any() and np.array_equal(pixels(one), pixels(two))


def test_scores_on_a_bag_of_the_scene_are_those_of_its_streaming_evaluation(
    tmp_path, scene, camera
):
    bag = write_bag(tmp_path / "in", camera, MCAP)
    assert run(bag, tmp_path / "out") == 0
    got = pixels(read(tmp_path / "out")["/virst/masks"]) > 0
    (expected,) = follow(load(), scene, [RED], delay=1).masks

    circle = next(o for o in demo_scene(0).objects if (o.colour, o.shape) == ("red", "circle"))
    truth = scene.ids_THW == circle.id
    j, f = region(truth, got), boundary(truth, got)
    assert np.array_equal(j, region(truth, expected))
    assert np.array_equal(f, boundary(truth, expected))
    assert np.mean(j[10:]) > 0.5, "the masks are on the circle"


def test_what_is_latched_says_so_and_how_the_queries_stand(tmp_path, camera):
    bag = write_bag(tmp_path / "in", camera)
    assert run(bag, tmp_path / "out") == 0
    answers = read(tmp_path / "out")

    with AnyReader([tmp_path / "out"]) as reader:
        qualities = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    for topic, (quality,) in qualities.items():
        latched = quality.durability.name == "TRANSIENT_LOCAL"
        assert latched == (topic in LATCHED) and quality.reliability.name == "RELIABLE"
        assert quality.depth == 1
    ((_, names),) = answers["/virst/label_info"]
    assert [(c.class_id, c.class_name) for c in names.class_map] == [(1, RED)]
    lists = [message.queries for _, message in answers["/virst/queries"]]
    at = [recorded_ns for recorded_ns, _ in answers["/virst/masks"]]
    ((named_at, _),) = answers["/virst/label_info"]
    listed_at = [recorded_ns for recorded_ns, _ in answers["/virst/queries"]]
    assert named_at == listed_at[0] == at[0] and {*listed_at} <= {*at}
    states = [s.segmentations[0].state for _, s in answers["/virst/segmentations"]]
    changes = [b for a, b in pairwise(states) if a != b]
    assert [line.state for (line,) in lists] == ["searching", *changes] and changes
    assert all((q.id, q.label, q.name, q.enabled) == (1, 1, RED, True) for (q,) in lists)


def test_together_has_all_topics_of_the_bag_but_what_cannot_be_read(tmp_path, camera, caplog):
    bag = tmp_path / "in"
    types = get_typestore(Stores.ROS2_HUMBLE)
    types.register(get_types_from_msg("float64 volts", "my_robot/msg/Battery"))
    with Writer(bag, version=8, storage_plugin=SQLITE3) as writer:
        cloud = writer.add_connection("/odd", "lost/msg/Type", msgdef="lost/Part p", rihs01="x")
        own = writer.add_connection(
            "/battery", "my_robot/msg/Battery", typestore=types, offered_qos_profiles=[LASTING]
        )
        eye = writer.add_connection("/eye", camera[0][2].__msgtype__, typestore=types)
        writer.write(cloud, 5, b"\0\1\0\0")
        volts = types.types["my_robot/msg/Battery"](volts=12.5)
        writer.write(own, 6, types.serialize_cdr(volts, "my_robot/msg/Battery"))
        for number, (_, _, image) in enumerate(camera[:6]):
            writer.write(eye, 7 + number, types.serialize_cdr(image, image.__msgtype__))

    assert run(bag, tmp_path / "out", "--together") == 0

    answers = read(tmp_path / "out")
    assert set(answers) == {"/battery", "/eye", *ANSWERS, *LATCHED}
    ((at, message),) = answers["/battery"]
    assert (at, message.volts) == (6, 12.5)
    with AnyReader([tmp_path / "out"]) as reader:
        (quality,) = (c.ext for c in reader.connections if c.topic == "/battery")
    assert quality.offered_qos_profiles == [LASTING]
    assert np.array_equal(pixels(answers["/eye"]), pixels(read_of(bag, "/eye")))
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"{bag}: /odd is left out: type lost/msg/Type cannot be read" in line


def read_of(bag: Path, topic: str) -> list:
    with Reader(bag) as reader:
        ours = [c for c in reader.connections if c.topic == topic]
        return [(at, TYPES.deserialize_cdr(d, c.msgtype)) for c, at, d in reader.messages(ours)]


def test_together_with_a_bag_that_has_masks_itself_needs_another_namespace(
    tmp_path, camera, capsys
):
    bag = write_bag(tmp_path / "in", [*camera[:5], ("/virst/masks", 0.0, camera[0][2])])
    named = ("--topic", camera[0][0], "--together")
    assert run(bag, tmp_path / "out", *named) == 2
    assert "--together: IN has /virst/masks itself; --namespace" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

    assert run(bag, tmp_path / "out", *named, "--namespace", "/again") == 0
    assert {"/virst/masks", "/again/masks"} <= set(read(tmp_path / "out"))


def test_compressed_images_have_masks_too(tmp_path, scene, camera):
    pictures = zip(scene.images[:6], scene.times, strict=False)
    packed = [("/eye/compressed", t, compressed(image, STAMPED_S + t)) for image, t in pictures]
    assert run(write_bag(tmp_path / "in", packed), tmp_path / "out") == 0
    assert run(write_bag(tmp_path / "raw", camera[:6]), tmp_path / "of_raw") == 0
    one, other = (read(tmp_path / name)["/virst/masks"] for name in ("out", "of_raw"))
    assert np.array_equal(pixels(one), pixels(other))


def test_an_image_that_cannot_be_read_is_named_and_counted(tmp_path, camera, capsys, caplog):
    messages = camera[:6]
    messages[2] = (messages[2][0], 0.2, raw(np.zeros((6, 8, 3), np.uint8), 1000.2, "32FC1"))
    whole = bytes(TYPES.serialize_cdr(messages[3][2], messages[3][2].__msgtype__))
    messages[3] = (messages[3][0], 0.3, whole[:-20])
    bag = write_bag(tmp_path / "in", messages)

    assert run(bag, tmp_path / "out") == 1

    assert "out: 4 masks of 6 images on" in capsys.readouterr().out
    said = [record.getMessage() for record in caplog.records]
    assert [line.startswith(f"{bag}: frame {i} ") for i, line in zip((2, 3), said)] == [True] * 2
    assert all("has no mask" in line for line in said)
    assert len(read(tmp_path / "out")["/virst/masks"]) == 4


def test_images_that_the_header_promises_and_the_bag_has_not_are_said(tmp_path, camera, capsys):
    bag = write_bag(tmp_path / "in", camera[:4])
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 4", "message_count: 6"))

    assert run(bag, tmp_path / "out") == 1

    assert "out: 4 masks of 4 images on /cam/image_raw; its header says 6\n" in (
        capsys.readouterr().out
    )


def test_without_stamps_the_time_is_that_of_the_recording(tmp_path, scene):
    unstamped = [("/eye", t, raw(image, 0.0)) for image, t in zip(scene.images, scene.times)]
    still = [("/eye", t, raw(image, 77.0)) for image, t in zip(scene.images, scene.times)]
    assert run(write_bag(tmp_path / "a", unstamped), tmp_path / "unstamped") == 0
    assert run(write_bag(tmp_path / "b", still), tmp_path / "still", "--times", "recorded") == 0
    masks = [pixels(read(tmp_path / n)["/virst/masks"]) for n in ("unstamped", "still")]
    assert masks[0].any() and np.array_equal(*masks)


@pytest.mark.parametrize("storage", [SQLITE3, MCAP])
def test_ctrl_c_leaves_a_bag_of_what_is_done(tmp_path, camera, storage, monkeypatch, capsys):
    bag = write_bag(tmp_path / "in", camera, storage)
    made = watch_bars(monkeypatch, "virst_model.offline.bag")
    moved = Bar.update

    def interrupted(self: Bar, n: float = 1) -> bool | None:
        if len(self.moves) == 4:
            signal.raise_signal(signal.SIGINT)
        return moved(self, n)

    monkeypatch.setattr(Bar, "update", interrupted)
    assert run(bag, tmp_path / "out") == 130

    (bar,) = made
    assert (bar.total, bar.unit, bar.moves) == (20, "frame", [1] * 5)
    said = capsys.readouterr().out
    assert "out: 5 masks of 5 images on" in said and "interrupted, of 20" in said
    assert len(read(tmp_path / "out")["/virst/masks"]) == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_the_copying_of_other_topics_too(tmp_path, camera, monkeypatch):
    talk = [("/talk", 1.0 + n / 100, text(str(n))) for n in range(50)]
    bag = write_bag(tmp_path / "in", [*camera[:1], *talk])
    copied, copy = [], BagWriter.copy

    def interrupted(self: BagWriter, record: Record) -> None:
        copied.append(record.topic)
        if len(copied) == 3:
            signal.raise_signal(signal.SIGINT)
        copy(self, record)

    monkeypatch.setattr(BagWriter, "copy", interrupted)
    assert run(bag, tmp_path / "out", "--together") == 130

    answers = read(tmp_path / "out")
    assert len(answers["/virst/masks"]) == 1 and len(answers["/talk"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("storage", [SQLITE3, MCAP])
def test_a_full_disk_is_one_line(tmp_path, camera, storage):
    """A limit on the size of files stands for it; the system's own words differ."""
    bag = write_bag(tmp_path / "in", camera, storage)
    out = tmp_path / "out"
    code = "import sys; from virst_model.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = ["bag", str(bag), str(out), "--query", RED, "--engine", "torch", "--together"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000,) * 2)  # noqa: E731
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], preexec_fn=limit, capture_output=True, text=True
    )
    bar_apart = [line.strip() for line in ended.stderr.splitlines() if "%|" not in line]
    said = [line for line in bar_apart if line]
    assert ended.returncode == 2, ended.stderr
    assert len(said) == 1 and said[0].startswith(f"error: {out}: cannot be written ("), said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--topic", "/nowhere"), "has no topic /nowhere; its images: /cam/image_raw"),
        (("--namespace", "my things"), "'my things' is no namespace; one is /virst"),
        (("--query", RED), "--query: 'the red circle' is there twice"),
        (("--query", " "), "--query: a query without words"),
        (tuple(x for i in range(16) for x in ("--query", f"{i}")), "17 queries; at most 16"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, camera, capsys, options, said):
    bag = write_bag(tmp_path / "in", camera[:2])
    assert run(bag, tmp_path / "out", *options) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_taken_and_a_file_that_is_no_bag_are_named(tmp_path, camera, capsys):
    bag = write_bag(tmp_path / "in", camera[:2])
    before = {path: path.read_bytes() for path in bag.iterdir()}
    assert run(bag, bag) == 2
    assert f"{bag}: is there already; OUT is a folder to be made" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in bag.iterdir()} == before
    (tmp_path / "video.mp4").write_bytes(b"")
    for name, reason in (("video.mp4", "is no bag: neither"), ("gone", "no such file or folder")):
        assert run(tmp_path / name, tmp_path / "out") == 2
        assert f"{name}: {reason}" in capsys.readouterr().err
    assert run(write_bag(tmp_path / "talk", [("/t", 0.0, text("hi"))]), tmp_path / "out") == 2
    assert "holds no images that can be read" in capsys.readouterr().err


def test_a_killed_recorders_folder_is_read(tmp_path, camera):
    bag = write_bag(tmp_path / "in", camera[:5])
    (bag / "metadata.yaml").unlink()
    assert run(bag, tmp_path / "out", "--together") == 0
    assert len(read(tmp_path / "out")["/virst/masks"]) == 5
    shutil.rmtree(tmp_path / "out")
