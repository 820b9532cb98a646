"""Webcams and cameras of the network, by a stand-in for OpenCV's capture."""

from __future__ import annotations

import os
import threading
from typing import ClassVar

import cv2
import numpy as np
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
    while made.grabbed < before + 20:
        threading.Event().wait(0.001)
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


@pytest.mark.parametrize("pictures", [0, 1, 5])
def test_a_camera_that_was_unplugged_is_named(capture, pictures):
    capture.pictures = pictures
    with pytest.raises(LiveError, match="webcam 0 gives no picture"):
        video = LiveVideo("0")
        for _ in range(6):
            video.read()
    assert Capture.made[0].released
