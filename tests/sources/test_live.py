"""Webcams and cameras of the network, by a stand-in for OpenCV's capture."""

from __future__ import annotations

import os
import socket
import threading
from typing import ClassVar

import cv2
import numpy as np
from patience import LIMIT_S, wait_until
import pytest

from virst_model.sources.live import LiveError, LiveVideo, is_live, public


class Capture:
    """A camera that gives a picture whenever its test lets it; counts what it was asked."""

    made: ClassVar[list[Capture]] = []
    opens = True
    pictures = 10**9

    def __init__(self, name) -> None:
        self.name, self.settings = name, {}
        self.grabbed = self.retrieved = 0
        self.released = False
        Capture.made.append(self)

    def isOpened(self):
        return self.opens

    def set(self, what, value):
        self.settings[what] = value

    def grab(self):
        assert not self.released
        if self.grabbed >= self.pictures:
            return False
        self.grabbed += 1
        threading.Event().wait(0.001)
        return True

    def retrieve(self):
        self.retrieved += 1
        value = min(self.grabbed, 255)
        return True, np.full((6, 8, 3), (0, 0, value), np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def capture(monkeypatch):
    kind = type("CaptureOfThisTest", (Capture,), {})
    monkeypatch.setattr(Capture, "made", [])
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    return kind


@pytest.mark.parametrize(
    ("name", "live"),
    [
        *[(name, True) for name in ("0", "12", "/dev/video3", "rtsp://a/b", "RTSPS://a")],
        *[(name, False) for name in ("scene", "a.mp4", "./0", "/dev/null", "/tmp", "", "-1")],
    ],
)
def test_what_a_camera_is_called(name, live):
    assert is_live(name) == live


def test_a_link_to_a_device_is_a_webcam(tmp_path, monkeypatch):
    """/dev/v4l/by-id has names that stay."""
    monkeypatch.setattr(os.path, "realpath", lambda path: "/dev/video4")
    assert is_live("/dev/v4l/by-id/usb-eye")


def test_a_password_stays_where_it_is():
    assert public("rtsp://me:secret@10.0.0.7:554/a@b") == "rtsp://10.0.0.7:554/a@b"
    assert public("/videos/a@b.mp4") == "/videos/a@b.mp4"


@pytest.mark.parametrize(("name", "opened"), [("2", 2), ("/dev/video2", 2), ("rtsp://a/b",) * 2])
def test_the_next_picture_comes_as_rgb(capture, name, opened):
    video = LiveVideo(name)
    shots = [video.read() for _ in range(3)]
    video.close()

    (made,) = Capture.made
    assert made.name == opened and not made.settings and made.released
    reds = [int(shot.frame_HW3[0, 0, 0]) for shot in shots]
    assert reds == sorted(set(reds)) and not shots[0].frame_HW3[..., 1:].any()
    assert all(0 <= shot.age_s < 5 for shot in shots)


def test_what_nobody_waits_for_is_not_decoded(capture):
    video = LiveVideo("0")
    made = Capture.made[0]
    before = made.grabbed
    assert wait_until(lambda: made.grabbed > before + 20)
    shot = video.read()
    video.close()

    assert made.retrieved <= 3
    assert int(shot.frame_HW3[0, 0, 0]) > before + 15, "the newest, and not the first of a queue"


def test_a_webcam_is_asked_for_the_size(capture):
    LiveVideo("0", width=320).close()
    LiveVideo("0", 320, 240).close()
    assert [made.settings for made in Capture.made] == [
        {cv2.CAP_PROP_FRAME_WIDTH: 320},
        {cv2.CAP_PROP_FRAME_WIDTH: 320, cv2.CAP_PROP_FRAME_HEIGHT: 240},
    ]


@pytest.mark.parametrize("name", ["7", "/dev/video7", "rtsp://me:secret@a/b"])
def test_a_camera_that_is_not_there_is_named(capture, name):
    capture.opens = False
    with pytest.raises(LiveError, match=f"{name.replace('me:secret@', '')} cannot be opened") as e:
        LiveVideo(name)
    assert "secret" not in str(e.value)
    assert name.startswith("rtsp") or "this machine has " in str(e.value)


def send(url: str, ended: threading.Event) -> None:
    """A red picture at 20 Hz, by RTSP, as a camera that dials in."""
    av = pytest.importorskip("av")
    red = np.full((48, 64, 3), (200, 30, 10), np.uint8)
    while not ended.wait(0.05):
        try:
            with av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as out:
                stream = out.add_stream("libx264", rate=20, options={"tune": "zerolatency"})
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                while not ended.wait(0.05):
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        except OSError:
            continue  # nobody listens yet, or no longer


def test_a_camera_of_the_network(monkeypatch):
    """By a real stream: OpenCV's FFmpeg is told to wait for the camera, which PyAV plays."""
    pytest.importorskip("av", reason="needs the extra video")
    options = "rtsp_flags;listen|listen_timeout;60"
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{free.getsockname()[1]}/eye"
    ended = threading.Event()
    camera = threading.Thread(target=send, args=(url, ended), daemon=True)
    camera.start()
    try:
        video = LiveVideo(url)
        shot = video.read()
        video.close()
    finally:
        ended.set()
        camera.join(LIMIT_S)
    assert shot.frame_HW3.shape == (48, 64, 3)
    assert np.abs(shot.frame_HW3.astype(int) - (200, 30, 10)).max() < 12
    with pytest.raises(LiveError, match="cannot be opened"):
        monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS")
        LiveVideo(url)


@pytest.mark.parametrize("pictures", [0, 1, 5])
def test_a_camera_that_was_unplugged_is_named(capture, pictures):
    capture.pictures = pictures
    with pytest.raises(LiveError, match="webcam 0 gives no picture"):
        video = LiveVideo("0")
        for _ in range(6):
            video.read()
    assert Capture.made[0].released
