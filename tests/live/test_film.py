"""What is watched without ROS: recordings at their own pace, and names of cameras."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from virst_model.errors import FileError, UsageError
from virst_model.frames import open_frames
from virst_model.live.film import Projector, open_film


@pytest.fixture
def folder(tmp_path):
    """Three pictures, grey by number."""
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 8, 3), 50 * index, np.uint8))
    return tmp_path


def test_a_folder_is_shown_picture_by_picture_again_and_again(folder):
    film = open_film(str(folder))
    assert [int(film.read().frame_HW3[0, 0, 0]) // 50 for _ in range(5)] == [0, 1, 2, 0, 1]
    film.close()


def test_a_recording_is_not_shown_faster_than_it_was_taken(folder):
    frames = open_frames(folder)
    film = Projector(frames)
    begin_s = time.monotonic()
    for _ in range(6):
        film.read()
    assert time.monotonic() - begin_s >= 5 / frames.rate_hz


def test_a_topic_of_a_camera_is_refused_and_the_password_is_not_said():
    with pytest.raises(UsageError) as said:
        open_film("rtsp://me:secret@camera/", topic="/image")
    assert "rtsp://camera/" in str(said.value) and "secret" not in str(said.value)


def test_a_film_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match="none"):
        open_film(str(tmp_path / "none.mp4"))
