"""`virst-camera` in a process of its own, and the sources of its pictures."""

from __future__ import annotations

import json
from pathlib import Path
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from patience import LIMIT_S
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from webcam_camera import Webcam

from virst_model.synthetic.scenes import Scene, demo_scene
from virst_ros.pictures import PictureError, choose_photograph, fitted, open_source
from virst_ros.qos import LATCHED, TRUTH

WEBCAM = str(Path(__file__).parents[1] / "fixtures" / "webcam_camera.py")
CAMERA = ("-m", "virst_ros.camera", "--ros-args")


def pixels(message: Image) -> np.ndarray:
    shape = message.height, message.width, message.step // message.width
    return np.frombuffer(message.data, np.uint8).reshape(shape).squeeze()


def stamp_ns(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def listen(ros_node, kind, topic: str, qos) -> list:
    messages: list = []
    ros_node.create_subscription(kind, topic, messages.append, qos)
    return messages


@pytest.fixture
def picture_file(tmp_path):
    """A video of eight grey frames, 0, 30, 60 ..., at 8 Hz."""
    path = tmp_path / "steps.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 8.0, (64, 48))
    assert writer.isOpened()
    for index in range(8):
        writer.write(np.full((48, 64, 3), 30 * index, np.uint8))
    writer.release()
    return path


def test_a_scene_comes_with_its_truth(start_process, ros_node, spin_until):
    images = listen(ros_node, Image, "/camera/image_raw", qos_profile_sensor_data)
    ids = listen(ros_node, Image, "/camera/truth/ids", TRUTH)
    scenes = listen(ros_node, String, "/camera/truth/scene", LATCHED)
    started_ns = time.time_ns()
    start_process(*CAMERA, "-p", "seed:=3")
    assert spin_until(lambda: len(images) >= 3 and len(ids) >= 3 and scenes)

    description = json.loads(scenes[0].data)
    scene = Scene.from_dict(description)
    assert scene == demo_scene(3)
    assert (images[0].encoding, images[0].width, images[0].height) == ("rgb8", 640, 480)
    assert images[0].header.frame_id == "camera"
    assert started_ns < stamp_ns(images[-1]) < time.time_ns()
    truth = {stamp_ns(message): pixels(message) for message in ids}
    assert spin_until(lambda: any(stamp_ns(message) in truth for message in images))
    image = next(message for message in images if stamp_ns(message) in truth)
    seconds = (stamp_ns(image) - description["start_ns"]) * 1e-9
    frame_HW3, ids_HW = scene.render(seconds, 480, 640)
    assert np.array_equal(pixels(image), frame_HW3)
    assert np.array_equal(truth[stamp_ns(image)], ids_HW)


def test_a_video_as_raw_and_compressed_images(start_process, ros_node, spin_until, picture_file):
    raw = listen(ros_node, Image, "/eye/left", qos_profile_sensor_data)
    topic = "/eye/left/compressed"
    compressed = listen(ros_node, CompressedImage, topic, qos_profile_sensor_data)
    start_process(*CAMERA, "-r", "image_raw:=/eye/left", "-p", f"source:={picture_file}")

    assert spin_until(lambda: raw and compressed)
    assert (raw[0].width, raw[0].height) == (64, 48)
    assert cv2.imdecode(np.frombuffer(compressed[0].data, np.uint8), 1).shape == (48, 64, 3)


@pytest.mark.parametrize(
    "argument, named",
    [
        ("source:=/no/such/video.mp4", "/no/such/video.mp4"),
        ("rate_hz:=0.0", "rate_hz"),
        ("split:=holiday", "split must be one of demo, train, valid, test, not 'holiday'"),
        ("camera_info_url:=/no/such/lens.yaml", "/no/such/lens.yaml: No such file or directory"),
    ],
)
def test_what_cannot_be_filmed_ends_with_one_clear_line(start_process, argument, named):
    process = start_process(*CAMERA, "-p", argument)

    assert process.popen.wait(LIMIT_S) == 1
    assert named in process.output
    assert "Traceback" not in process.output


def test_a_video_plays_at_its_own_speed_and_begins_anew(picture_file):
    source = open_source(str(picture_file))
    greys = [int(source.read(t_s).frame_HW3.mean()) for t_s in (0.0, 0.1, 0.25, 0.9, 1.0, 2.13)]
    source.close()

    # Frames 0, 0, 2, 7, then 0 and 1 of the next rounds; MJPEG is off by a little.
    assert np.allclose(greys, [0, 0, 60, 210, 0, 30], atol=4)


def test_a_folder_is_shown_in_the_order_of_the_numbers_in_its_names(tmp_path):
    for index, name in enumerate(["9.png", "1.png", "10.jpg"]):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 50 * index, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path), width=16, height=12)
    frames = [source.read(0.0).frame_HW3 for _ in range(4)]

    assert [int(frame[0, 0, 0]) for frame in frames] == [50, 0, 100, 50]
    assert frames[0].shape == (12, 16, 3)


def test_colours_are_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((8, 8, 3), (0, 0, 255), np.uint8))

    assert open_source(str(tmp_path)).read(0.0).frame_HW3[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(320, 240), (320, 0), (0, 240)])
def test_scenes_of_a_split_and_a_size(size):
    source = open_source("scene", "valid", 5, *size)
    picture = source.read(1.0)

    assert picture.frame_HW3.shape == (240, 320, 3)
    assert picture.ids_HW.max() <= len(source.scene.objects)


@pytest.mark.parametrize(
    ("size", "shape"),
    [((0, 0), (48, 64)), ((32, 0), (24, 32)), ((0, 96), (96, 128)), ((30, 30), (30, 30))],
)
def test_one_length_keeps_the_shape(picture_file, size, shape):
    assert open_source(str(picture_file), "demo", 0, *size).read(0.0).frame_HW3.shape[:2] == shape
    assert fitted((4000, 1), (10, 0)) == (10, 1), "no picture without pixels"


def test_a_recording_that_is_played_once_has_an_end(picture_file):
    source = open_source(str(picture_file), loop=False)
    assert source.read(0.99).frame_HW3.mean() > 200
    assert source.read(1.01) is None


def test_the_camera_ends_with_the_recording(start_process, ros_node, spin_until, picture_file):
    process = start_process(*CAMERA, "-p", f"source:={picture_file}", "-p", "loop:=false")

    assert process.popen.wait(LIMIT_S) == 0
    assert f"{picture_file} has come to its end" in process.output


@pytest.fixture
def bag(tmp_path):
    """Two cameras: the left one grey, 0, 30, 60 ..., at 8 Hz, the right one white."""
    pytest.importorskip("rosbags", reason="needs the extra bags")
    from bags import compressed, film, write_bag

    grey = [np.full((48, 64, 3), 30 * index, np.uint8) for index in range(8)]
    left = film(grey, [index / 8 for index in range(8)], "/left/image_raw")
    right = ("/right/image_raw/compressed", 0.5, compressed(np.full_like(grey[0], 255), 1.0))
    return write_bag(tmp_path / "bag", [*left, right])


def test_a_bag_is_played_at_its_own_times(bag):
    source = open_source(str(bag), topic="/left/image_raw")
    times_s = (0.0, 0.1, 0.25, 0.9, 1.0, 2.13)
    assert [int(source.read(t_s).frame_HW3.mean()) for t_s in times_s] == [0, 0, 60, 210, 0, 30]


def test_a_bag_over_ros(start_process, ros_node, spin_until, bag):
    images = listen(ros_node, Image, "/camera/image_raw", qos_profile_sensor_data)
    topic = "topic:=/right/image_raw/compressed"
    started_ns = time.time_ns()
    start_process(*CAMERA, "-p", f"source:={bag}", "-p", topic, "-p", "width:=32")

    assert spin_until(lambda: images)
    assert (images[0].encoding, images[0].width, images[0].height) == ("rgb8", 32, 24)
    assert pixels(images[0]).min() > 250
    assert stamp_ns(images[0]) > started_ns, "the node is told the time of today"


def test_a_bag_with_its_clock(start_process, ros_node, spin_until, bag):
    """The bag's images have stamps from 1000 s on; it is played again and again."""
    images = listen(ros_node, Image, "/camera/image_raw", qos_profile_sensor_data)
    clocks = listen(ros_node, Clock, "/clock", qos_profile_sensor_data)
    started_ns = time.monotonic_ns()
    start_process(
        *CAMERA, "-p", f"source:={bag}", "-p", "topic:=/left/image_raw", "-p", "clock:=true"
    )

    assert spin_until(lambda: len(clocks) >= 20 and images)
    times = [message.clock.sec * 10**9 + message.clock.nanosec for message in clocks]
    assert times == sorted(set(times)), "it goes on where the bag begins anew"
    assert 1000 * 10**9 <= times[0] < times[-1]
    assert times[-1] < 1000 * 10**9 + time.monotonic_ns() - started_ns, "it is as fast as time"
    told = set(times)
    assert spin_until(lambda: any(stamp_ns(image) in told for image in images))
    shown = next(image for image in images if stamp_ns(image) in told)
    since_s = stamp_ns(shown) * 1e-9 - 1000
    grey = pixels(shown)[0, 0, 0]
    assert grey == 30 * (int(since_s * 8 + 1e-3) % 8)


def test_a_clock_is_that_of_a_bag(start_process, picture_file):
    process = start_process(*CAMERA, "-p", f"source:={picture_file}", "-p", "clock:=true")

    assert process.popen.wait(LIMIT_S) == 1
    assert f"clock: is that of a bag, and {picture_file} is none" in process.output


def test_a_bag_of_two_cameras_ends_with_their_names(start_process, bag):
    process = start_process(*CAMERA, "-p", f"source:={bag}")

    assert process.popen.wait(LIMIT_S) == 1
    assert "topic:=) says which: /left/image_raw, /right/image_raw/compressed" in process.output
    assert "a source is" not in process.output and "Traceback" not in process.output


@pytest.mark.parametrize("name", ["3", "/dev/video3"])
def test_a_webcam_by_its_number_or_its_device(monkeypatch, name):
    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    source = open_source(name, width=32)
    picture = source.read(0.0)
    source.close()

    assert picture.frame_HW3.shape == (24, 32, 3), "at the size that was asked for"
    assert picture.frame_HW3[0, 0].tolist() == [255, 0, 0]
    with pytest.raises(PictureError, match="/dev/video7 cannot be opened; this machine has"):
        open_source("/dev/video7")


@pytest.mark.parametrize("name", ["3", "/dev/video3"])
def test_a_webcam_over_ros(start_process, ros_node, spin_until, name):
    images = listen(ros_node, Image, "/camera/image_raw", qos_profile_sensor_data)
    infos = listen(ros_node, CameraInfo, "/camera/camera_info", qos_profile_sensor_data)
    started_ns = time.time_ns()
    values = (f"source:={name}", "width:=32", "hfov_deg:=90.0")
    process = start_process(WEBCAM, "--ros-args", *(x for v in values for x in ("-p", v)))

    assert spin_until(lambda: len(images) >= 3 and infos)
    assert pixels(images[0]).shape == (24, 32, 3)
    assert pixels(images[0])[0, 0].tolist() == [255, 0, 0]
    stamps = [stamp_ns(message) for message in images]
    assert started_ns < stamps[0] and stamps == sorted(set(stamps))
    assert infos[0].k[0] == pytest.approx(16)
    assert process.stop() == 0 and "Traceback" not in process.output


@pytest.fixture
def photographs(tmp_path):
    """Two, twice as wide as a scene: of `1.png` the middle half is a slope, `2.png` is grey."""
    slope = np.tile(np.linspace(20, 220, 160, dtype=np.uint8), (120, 1))
    sides = np.zeros((120, 80), np.uint8)
    for name, grey_HW in (
        ("1.png", np.concatenate((sides, slope, sides), axis=1)),
        ("2.png", np.full((120, 320), 128, np.uint8)),
    ):
        cv2.imwrite(str(tmp_path / name), np.repeat(grey_HW[..., None], 3, axis=2))
    return tmp_path


def test_a_scene_is_filmed_before_a_photograph_that_fills_the_frame(photographs):
    plain = open_source("scene", "demo", 2, 320, 240)
    filmed = open_source("scene", "demo", 2, 320, 240, str(photographs))

    before, behind = plain.read(3.0), filmed.read(3.0)

    assert filmed.scene == plain.scene
    assert np.array_equal(behind.ids_HW, before.ids_HW)
    same = np.abs(behind.frame_HW3.astype(int) - before.frame_HW3).max(axis=2) == 0
    inside = cv2.erode((before.ids_HW > 0).astype(np.uint8), np.ones((5, 5))) > 0
    assert inside.any() and same[inside].all()
    # Its middle, from edge to edge, under the scene's own light and noise.
    slope = np.linspace(20, 220, 320)[None, :, None].repeat(240, axis=0)
    away = np.abs(behind.frame_HW3 - slope * filmed.scene.view.camera.gain(3.0)).mean(axis=2)
    outside = cv2.dilate((before.ids_HW > 0).astype(np.uint8), np.ones((5, 5))) == 0
    assert away[outside].mean() < 5


def test_seeds_take_turns_through_the_photographs(photographs):
    names = [choose_photograph(photographs, seed).name for seed in range(4)]

    assert names == ["1.png", "2.png", "1.png", "2.png"]
    grey = open_source("scene", "demo", 3, 320, 240, str(photographs)).read(0.0)
    behind = grey.frame_HW3[grey.ids_HW == 0]
    assert np.ptp(np.median(behind, axis=0)) < 3 and 110 < np.median(behind) < 146


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("nowhere.mp4",), "nowhere.mp4"),
        (("scene", "holiday"), "'holiday' is not one of demo, train, valid, test"),
        (("scene", "demo", 0, 0, 0, "", "/cam"), "topic /cam: belongs to a bag, not to scene"),
        (("0", "demo", 0, 0, 0, "", "/cam"), "topic /cam: belongs to a bag, not to 0"),
        (("nowhere.mp4",), "a source is scene, a video file, a folder of images, a bag, a web"),
        (("scene", "demo", 0, 0, 0, "/no/photos"), "/no/photos: "),
        (("scene", "demo", 0, 0, 0, str(Path(__file__).parent)), "no images"),
        (("video.mp4", "demo", 0, 0, 0, "photos"), "photos: belong to a scene, not to video"),
    ],
)
def test_sources_that_cannot_be_filmed_are_named(arguments, named):
    with pytest.raises(PictureError, match=named):
        open_source(*arguments)


def test_files_that_are_no_pictures_are_named(tmp_path):
    with pytest.raises(PictureError, match="no images"):
        open_source(str(tmp_path))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    for source in (tmp_path, tmp_path / "broken.png"):
        with pytest.raises(PictureError, match=r"broken\.png") as caught:
            open_source(str(source))
        assert "\n" not in str(caught.value)


def test_a_damaged_picture_is_named_once_and_the_one_before_it_stays(tmp_path, caplog):
    for number in (2, 10, 11):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
    for number in (1, 9):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    (tmp_path / "._2.png").write_bytes(b"a Mac's")
    source = open_source(str(tmp_path))

    shown = [int(source.read(0.0).frame_HW3[0, 0, 0]) for _ in range(10)]

    # Before the first, the first that can be read; then the last of the round before.
    assert shown == [2, 2, 2, 10, 11, 11, 2, 2, 10, 11]
    assert [record.getMessage().count("/9.png: cannot be read") for record in caplog.records] in (
        [0, 1],
        [1, 0],
    )


def test_a_damaged_frame_of_a_video_keeps_its_place(picture_file):
    data = bytearray(picture_file.read_bytes())
    at = data.index(b"movi")
    for _ in range(4):
        at = data.index(b"00dc", at + 1)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 8 : at + 8 + size] = bytes(size)
    picture_file.write_bytes(data)
    source = open_source(str(picture_file))

    greys = [int(source.read(index / 8).frame_HW3.mean()) for index in range(9)]
    source.close()

    assert np.allclose(greys, [0, 30, 60, 60, 120, 150, 180, 210, 0], atol=4)


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), OSError(5, "EIO")])
def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path, monkeypatch, fault):
    def refuse(self):
        raise fault

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(PictureError, match=f"{tmp_path}: {fault.strerror}") as caught:
        open_source(str(tmp_path))
    assert "\n" not in str(caught.value)


LENS = """
image_width: 640
image_height: 480
camera_name: eye
camera_matrix: {rows: 3, cols: 3, data: [500.0, 0, 319.5, 0, 510.0, 239.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0.002, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix:
  rows: 3
  cols: 4
  data: [490.0, 0, 319.5, -49.0, 0, 505.0, 239.5, 0, 0, 0, 1, 0]
"""


def test_camera_info_of_a_calibration_beside_the_images(
    start_process, ros_node, spin_until, tmp_path
):
    (tmp_path / "lens.yaml").write_text(LENS)
    images = listen(ros_node, Image, "/eye/left", qos_profile_sensor_data)
    infos = listen(ros_node, CameraInfo, "/eye/camera_info", qos_profile_sensor_data)
    url = f"camera_info_url:=file://{tmp_path}/lens.yaml"
    start_process(
        *CAMERA, "-r", "image_raw:=/eye/left", "-p", url, "-p", "width:=320", "-p", "frame_id:=eye"
    )

    assert spin_until(lambda: {stamp_ns(m) for m in images} & {stamp_ns(m) for m in infos})
    info = infos[-1]
    assert (info.width, info.height, info.header.frame_id) == (320, 240, "eye")
    assert info.distortion_model == "plumb_bob"
    assert list(info.d) == [0.1, -0.2, 0.001, 0.002, 0.0]
    assert list(info.k) == [250.0, 0, 159.5, 0, 255.0, 119.5, 0, 0, 1]
    assert list(info.p) == [245.0, 0, 159.5, -24.5, 0, 252.5, 119.5, 0, 0, 0, 1, 0]


def test_camera_info_of_a_field_of_view(start_process, ros_node, spin_until):
    infos = listen(ros_node, CameraInfo, "/camera/camera_info", qos_profile_sensor_data)
    start_process(*CAMERA, "-p", "hfov_deg:=90")

    assert spin_until(lambda: infos)
    assert (infos[0].width, infos[0].height) == (640, 480)
    assert list(infos[0].k) == pytest.approx([320, 0, 319.5, 0, 320, 239.5, 0, 0, 1])


def test_without_a_lens_there_is_no_camera_info(start_process, ros_node, spin_until):
    images = listen(ros_node, Image, "/camera/image_raw", qos_profile_sensor_data)
    start_process(*CAMERA)

    assert spin_until(lambda: images)
    assert not ros_node.get_publishers_info_by_topic("/camera/camera_info")


def test_a_calibration_of_pictures_of_another_shape_is_named(start_process, spin_until, tmp_path):
    (tmp_path / "lens.yaml").write_text(LENS)
    sizes = ("-p", "width:=640", "-p", "height:=360")
    process = start_process(*CAMERA, "-p", f"camera_info_url:={tmp_path}/lens.yaml", *sizes)

    said = "the calibration is of 640x480 pixels, the pictures have 640x360, another shape"
    assert spin_until(lambda: said in process.output)


def test_one_lens_is_enough(start_process):
    process = start_process(*CAMERA, "-p", "camera_info_url:=lens.yaml", "-p", "hfov_deg:=70.0")

    assert process.popen.wait(LIMIT_S) == 1
    assert "camera_info_url lens.yaml and hfov_deg 70: give one of them" in process.output
