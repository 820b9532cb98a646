"""Bags of ROS 2 as videos: their topics, their times, what is damaged in them."""

from itertools import pairwise
import logging
from pathlib import Path
import re
import sys

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra bags")

import bags
from bags import STAMPED_S, compressed, film, raw, text, write_bag
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from virst_model.errors import FileError, InputError, UsageError
from virst_model.frames import first_image
from virst_model.sources.bag import Bag
from virst_model.sources.named import open_recorded

TIMES_S = [0.0, 0.1, 0.4, 0.5]
SQLITE3, MCAP = StoragePlugin.SQLITE3, StoragePlugin.MCAP
NONE, MESSAGE, FILE = CompressionMode.NONE, CompressionMode.MESSAGE, CompressionMode.FILE


def colours(count: int = 4) -> list[np.ndarray]:
    return [np.full((6, 8, 3), (200, 0, 10 * i), np.uint8) for i in range(count)]


def seen(frames) -> list[list[int]]:
    return [frame.read()[0, 0].tolist() for frame in frames]


WANTED = [[200, 0, 10 * i] for i in range(4)]


@pytest.mark.parametrize(
    ("storage", "packed"),
    [
        *[(kind, packed) for kind in (SQLITE3, MCAP) for packed in (NONE, MESSAGE, FILE)],
        (MCAP, CompressionMode.STORAGE),
    ],
)
def test_a_bag_is_a_video_with_the_times_of_its_headers(tmp_path, storage, packed):
    path = write_bag(tmp_path / "bag", film(colours(), TIMES_S), storage, packed)
    frames = open_recorded(str(path))

    assert frames.length == 4
    for _ in range(2):
        read = [(frame.index, frame.name, frame.time_s, frame.read()) for frame in frames]
        assert [index for index, *_ in read] == [0, 1, 2, 3]
        assert [name for _, name, *_ in read] == ["00000", "00001", "00002", "00003"]
        # The recorder was 20 ms late at every second one.
        assert [time_s for *_, time_s, _ in read] == pytest.approx(TIMES_S, abs=1e-5)
        for *_, frame_HW3 in read:
            assert frame_HW3.dtype == np.uint8 and frame_HW3.flags.writeable
        assert [frame_HW3[0, 0].tolist() for *_, frame_HW3 in read] == WANTED
    assert frames.rate_hz == pytest.approx(3 / 0.5)


@pytest.mark.parametrize("distribution", ["HUMBLE", "JAZZY", "LYRICAL"])
def test_a_bag_of_any_distribution_is_read(tmp_path, monkeypatch, distribution):
    store = Stores.__members__.get(f"ROS2_{distribution}")
    if store is None:
        pytest.skip(f"this rosbags does not know {distribution.title()}")
    monkeypatch.setattr(bags, "TYPES", get_typestore(store))
    for kind in (SQLITE3, MCAP):
        path = write_bag(tmp_path / kind.name, film(colours(), TIMES_S), kind)
        assert seen(open_recorded(str(path))) == WANTED


@pytest.mark.parametrize(("storage", "suffix"), [(SQLITE3, "db3"), (MCAP, "mcap")])
def test_the_file_of_a_bag_and_a_folder_without_metadata_are_bags(tmp_path, storage, suffix):
    """A recorder that is killed leaves the folder so."""
    path = write_bag(tmp_path / "bag", film(colours(), TIMES_S), storage)
    assert seen(open_recorded(str(path / f"bag.{suffix}"))) == WANTED
    (path / "metadata.yaml").unlink()
    assert seen(open_recorded(str(path))) == WANTED


def test_the_mcap_of_a_recorder_that_was_killed_is_told_how_to_become_whole(tmp_path):
    """Its index is written last; sqlite3 has none."""
    path = write_bag(tmp_path / "bag", film(colours(), TIMES_S), MCAP)
    (path / "metadata.yaml").unlink()
    file = path / "bag.mcap"
    file.write_bytes(file.read_bytes()[:-300])
    for bag in (path, file):
        with pytest.raises(FileError, match=f"was not closed.*mcap recover {file} -o") as raised:
            open_recorded(str(bag))
        assert "\n" not in str(raised.value)


def test_files_of_a_split_bag_follow_each_other(tmp_path):
    folder = tmp_path / "bag"
    for number, times_s in ((9, [0.0, 0.1]), (10, [0.2, 0.3])):
        whole = film(colours(), [0.0, 0.1, 0.2, 0.3])
        part = [message for message in whole if round(message[1] - 0.001, 1) in times_s]
        written = write_bag(tmp_path / str(number), part)
        folder.mkdir(exist_ok=True)
        (written / f"{number}.db3").rename(folder / f"bag_{number}.db3")

    frames = open_recorded(str(folder))

    assert frames.length == 4
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=1e-5)


def test_compressed_images_and_orders_of_colours_are_rgb(tmp_path):
    red = np.full((6, 8, 3), (200, 30, 10), np.uint8)
    for name, message in {"png": compressed(red, 1.0), "bgr": raw(red, 1.0, "bgr8")}.items():
        frames = open_recorded(str(write_bag(tmp_path / name, [("/cam", 0.0, message)])))
        assert seen(frames) == [[200, 30, 10]], name


def test_without_a_stamp_the_time_is_that_of_the_recording(tmp_path):
    messages = [("/cam", at_s, raw(colours()[0], 0.0)) for at_s in TIMES_S]
    frames = open_recorded(str(write_bag(tmp_path / "bag", messages)))
    assert [frame.time_s for frame in frames] == pytest.approx(TIMES_S, abs=1e-5)


def test_times_increase_whatever_the_stamps_do(tmp_path):
    stamps_s = [10.0, 10.1, 10.05, 3.0, 10.9]
    messages = [("/cam", 0.1 * i, raw(colours()[0], at)) for i, at in enumerate(stamps_s)]
    times_s = [frame.time_s for frame in open_recorded(str(write_bag(tmp_path / "b", messages)))]
    assert times_s[:2] == pytest.approx([0.0, 0.1]) and times_s[-1] == pytest.approx(0.9)
    assert all(after > before for before, after in pairwise(times_s))


@pytest.fixture
def robot_bag(tmp_path) -> Path:
    """Two cameras, one that was off, and what else a robot says."""
    right = [("/right/image_raw/compressed", 0.3, compressed(colours()[2], STAMPED_S))]
    others = [("/talk", 0.1, text("hello")), ("/talk", 0.2, text("there"))]
    return write_bag(tmp_path / "robot", [*film(colours(), TIMES_S), *right, *others])


def one_line(call, error=InputError) -> str:
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_of_several_topics_one_has_to_be_named(robot_bag):
    said = one_line(lambda: open_recorded(str(robot_bag)), FileError)
    assert said.startswith(f"{robot_bag}: has images on 2 topics; --topic")
    assert said.endswith(": /cam/image_raw, /right/image_raw/compressed")

    assert seen(open_recorded(str(robot_bag), "/cam/image_raw")) == WANTED
    assert seen(open_recorded(str(robot_bag), "right/image_raw/compressed")) == [WANTED[2]]


def test_a_topic_that_is_none_of_images_is_named(robot_bag):
    said = one_line(lambda: open_recorded(str(robot_bag), "/left"), FileError)
    assert "has no topic /left; its images: /cam/image_raw, /right/" in said
    said = one_line(lambda: open_recorded(str(robot_bag), "/talk"), FileError)
    assert "topic /talk holds std_msgs/msg/String, which cannot be read as pictures" in said


def test_a_bag_without_images_names_what_it_has(tmp_path):
    path = write_bag(tmp_path / "bag", [("/talk", 0.0, text("hello"))])
    said = one_line(lambda: open_recorded(str(path)), FileError)
    assert "holds no images that can be read; its topics: /talk (std_msgs/msg/String)" in said
    path = write_bag(tmp_path / "empty", [])
    assert one_line(lambda: open_recorded(str(path)), FileError).endswith("its topics: none")


def test_a_topic_belongs_to_a_bag(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    said = one_line(lambda: open_recorded(str(tmp_path), "/cam"), UsageError)
    assert said == f"topic /cam: belongs to a bag, not to {tmp_path}"


@pytest.mark.parametrize("camera", ["0", "/dev/video0", "rtsp://me:secret@10.0.0.7/stream"])
def test_a_camera_is_no_recording(camera):
    said = one_line(lambda: open_recorded(camera), UsageError)
    assert camera.replace("me:secret@", "") in said and "secret" not in said
    assert "a camera has no end" in said


def test_a_folder_of_images_is_no_bag_for_its_metadata(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "1.png"), colours()[1][..., ::-1])
    (tmp_path / "metadata.yaml").write_text("author: somebody\n")
    assert seen(open_recorded(str(tmp_path))) == [WANTED[1]]


def damaged() -> list:
    """Four images, the second of numbers and the third cut off."""
    messages = film(colours(), TIMES_S)
    messages[1] = ("/cam/image_raw", 0.1, raw(colours()[1], STAMPED_S + 0.1, "32FC1"))
    whole = bags.TYPES.serialize_cdr(messages[2][2], bags.RAW)
    messages[2] = ("/cam/image_raw", 0.4, bytes(whole)[:-20])
    return messages


def test_a_damaged_message_keeps_its_place(tmp_path):
    frames = open_recorded(str(write_bag(tmp_path / "bag", damaged())))
    said = {}
    for frame in frames:
        try:
            frame.read()
        except FileError as error:
            said[frame.index] = one_line(frame.read, FileError)
            assert error.path == frames.path

    assert frames.length == 4 and sorted(said) == [1, 2]
    assert "frame 1 cannot be decoded (encoding '32FC1' holds numbers" in said[1]
    assert "frame 2 cannot be decoded (cannot be read" in said[2]
    times_s = [frame.time_s for frame in frames]
    assert times_s[1] == pytest.approx(0.1) and times_s[1] < times_s[2] < times_s[3]
    assert times_s[3] == pytest.approx(0.5)


def test_a_bag_of_depth_says_so(tmp_path):
    messages = [("/depth", 0.0, raw(colours()[0], 1.0, "32FC1"))]
    frames = open_recorded(str(write_bag(tmp_path / "bag", messages)))
    assert "holds no frame that can be read (frame 0 cannot be decoded (encoding '32FC1'" in (
        one_line(lambda: first_image(frames), FileError)
    )


def test_what_comes_before_the_damage_is_used(tmp_path, caplog):
    """A chunk of it is zeros, as after a robot was switched off."""
    noise = np.random.default_rng(0).integers(256, size=(8, 480, 640, 3), dtype=np.uint8)
    times_s = [0.1 * i for i in range(8)]
    folder = write_bag(tmp_path / "bag", film(noise, times_s), MCAP, CompressionMode.STORAGE)
    path = folder / "bag.mcap"
    data = bytearray(path.read_bytes())
    third = [found.start() for found in re.finditer(rb"\x28\xb5\x2f\xfd", data)][2]
    data[third : third + 4096] = bytes(4096)
    path.write_bytes(data)

    with caplog.at_level(logging.WARNING):
        frames = open_recorded(str(path))
        read = [frame.index for frame in frames]

    assert 1 <= len(read) <= 5 and frames.length == len(read)
    assert "what comes before it is used" in caplog.text
    assert f"ends after {len(read)} frames; its header says 8" in caplog.text


def test_a_file_that_is_no_bag_is_one_line(tmp_path):
    for name in ("a.db3", "b.mcap"):
        (tmp_path / name).write_bytes(b"no bag" * 100)
        said = one_line(lambda name=name: open_recorded(str(tmp_path / name)), FileError)
        assert said.startswith(f"{tmp_path / name}: cannot be read (")
    (tmp_path / "c.mcap").write_bytes(b"")
    one_line(lambda: open_recorded(str(tmp_path / "c.mcap")), FileError)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    assert "rosbags-convert" in one_line(lambda: open_recorded(str(tmp_path / "old.bag")))
    said = one_line(lambda: open_recorded(str(tmp_path / "gone.db3")), FileError)
    assert said == f"{tmp_path / 'gone.db3'}: no such file or folder"


@pytest.mark.parametrize("storage", [SQLITE3, MCAP])
def test_whatever_byte_is_damaged_a_bag_ends_in_its_own_error(tmp_path, storage, caplog):
    path = write_bag(tmp_path / "bag", film(colours(), TIMES_S), storage)
    (file,) = [file for file in path.iterdir() if file.name != "metadata.yaml"]
    whole = file.read_bytes()
    rng = np.random.default_rng(17)
    ends = {"read": 0, "refused": 0}
    for number in range(150):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=1 + number % 8):
            data[at] = rng.integers(256)
        file.write_bytes(data[: len(data) - (number % 3 == 0) * int(rng.integers(len(data)))])
        try:
            for frame in open_recorded(str(file)):
                try:
                    frame.read()
                except FileError:
                    continue
            ends["read"] += 1
        except FileError as error:
            assert "\n" not in str(error)
            ends["refused"] += 1
    assert min(ends.values()) > 0, ends


def test_metadata_that_is_damaged_is_one_line(tmp_path):
    path = write_bag(tmp_path / "bag", film(colours(), TIMES_S))
    metadata = path / "metadata.yaml"
    whole = metadata.read_text()
    for damage in (
        whole.replace("version:", "version: ["),
        whole.replace("sqlite3", "of my own"),
        whole.replace("bag.db3", "gone.db3"),
        "rosbag2_bagfile_information: 7",
    ):
        metadata.write_text(damage)
        assert one_line(lambda: open_recorded(str(path)), FileError).startswith(f"{path}: cannot")


@pytest.mark.parametrize("name", ["a b", "100%", "it's", "ü", "a\nb"])
def test_a_path_may_have_any_letters(tmp_path, name):
    path = write_bag(tmp_path / name, film(colours(), TIMES_S))
    assert seen(open_recorded(str(path))) == WANTED


@pytest.mark.parametrize("name", ["what?", "take#2", "a%20b"])
def test_a_path_that_sqlite_takes_for_another_is_refused(tmp_path, name):
    write_bag(tmp_path / "a b", film(colours()[:1], TIMES_S[:1]))
    # The writer of rosbags, too, would write elsewhere.
    path = write_bag(tmp_path / "plain", film(colours(), TIMES_S)).rename(tmp_path / name)
    for given in (path, path / "plain.db3"):
        assert "rename it" in one_line(lambda given=given: open_recorded(str(given)), FileError)
    mcap = write_bag(tmp_path / f"{name}.m", film(colours(), TIMES_S), MCAP)
    assert seen(open_recorded(str(mcap))) == WANTED


def test_without_rosbags_the_way_out_is_named(tmp_path, monkeypatch):
    path = write_bag(tmp_path / "bag", film(colours(), TIMES_S))
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    said = one_line(lambda: Bag(path), FileError)
    assert said.endswith("pip install 'virst_ros[bags]'")
