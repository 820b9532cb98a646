"""Recordings as they went: by their times, once or again and again."""

import logging

import numpy as np
import pytest

from virst_model.errors import FileError
from virst_model.frames import Frame, ImageArrays, ImageFiles
from virst_model.sources.playback import Playback


class Recording:
    """Frames of one value at given times; those whose value is None are damaged."""

    path, rate_hz = "recording", 10.0

    def __init__(self, times_s, values) -> None:
        self.times_s, self.values = times_s, values
        self.length = len(values)
        self.decoded = []

    def __iter__(self):
        for index, (time_s, value) in enumerate(zip(self.times_s, self.values)):
            yield Frame(index, time_s, str(index), lambda i=index, v=value: self._read(i, v))
            self.open = index  # behind the next one this one is gone

    def _read(self, index, value):
        self.decoded.append(index)
        if value is None:
            raise FileError(self.path, f"frame {index} cannot be decoded")
        return np.full((2, 2, 3), value, np.uint8)


def shown(playback, *times_s):
    pictures = [playback.read(t_s) for t_s in times_s]
    return [None if picture is None else int(picture[0, 0, 0]) for picture in pictures]


def test_frames_are_shown_at_their_own_times():
    playback = Playback(Recording([0.0, 0.1, 0.7, 0.8], [1, 2, 3, 4]), loop=False)
    assert shown(playback, 0.0, 0.05, 0.1, 0.69, 0.7, 0.85) == [1, 1, 2, 2, 3, 4]


def test_it_ends_a_period_after_the_last_frame_or_begins_anew():
    times_s = (0.0, 0.1, 0.19, 0.2, 0.25, 0.3, 10.1)
    recording = [0.0, 0.1], [1, 2]
    assert shown(Playback(Recording(*recording), loop=False), *times_s) == [1, 2, 2, *[None] * 4]
    assert shown(Playback(Recording(*recording)), *times_s) == [1, 2, 2, 1, 1, 2, 2]


def test_one_picture_lasts_a_period():
    assert shown(Playback(Recording([0.0], [1]), loop=False), 0.0, 0.09, 0.1) == [1, 1, None]
    assert shown(Playback(Recording([0.0], [1])), 0.0, 0.5, 7.0) == [1, 1, 1]


def test_who_comes_late_decodes_only_what_is_shown_about_now():
    recording = Recording([0.1 * i for i in range(100)], list(range(100)))
    playback = Playback(recording)
    assert shown(playback, 0.0, 8.0) == [0, 80]
    assert len(recording.decoded) < 10


def test_a_damaged_frame_shows_the_one_before_and_is_named_once(caplog):
    playback = Playback(Recording([0.0, 0.1, 0.2], [None, 2, None]))
    with caplog.at_level(logging.WARNING):
        assert shown(playback, 0.0, 0.1, 0.2, 0.3, 0.4) == [2, 2, 2, 2, 2]
    assert [r.getMessage().split(";")[0] for r in caplog.records] == [
        "recording: frame 0 cannot be decoded",
        "recording: frame 2 cannot be decoded",
    ]


def test_nothing_that_can_be_read_is_said_at_once():
    with pytest.raises(FileError, match="holds no frame that can be read"):
        Playback(Recording([0.0], [None]))


def test_what_is_gone_the_second_time_is_named():
    recording = Recording([0.0], [1])
    playback = Playback(recording)
    recording.values = []
    with pytest.raises(FileError, match="cannot be read a second time"):
        shown(playback, 0.0, 0.1)


def test_a_folder_is_shown_a_picture_each_time(tmp_path):
    from PIL import Image

    paths = [tmp_path / f"{number}.png" for number in (1, 2, 3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(path)
    assert shown(Playback(ImageFiles(tmp_path, paths)), *[9.0] * 7) == [0, 1, 2, 0, 1, 2, 0]
    assert shown(Playback(ImageFiles(tmp_path, paths), loop=False), *[9.0] * 4) == [0, 1, 2, None]


def test_many_rounds_stay_in_time():
    images = [np.full((2, 2, 3), i, np.uint8) for i in range(3)]
    playback = Playback(ImageArrays(images, 30.0))
    times_s = [i / 30 for i in range(3000)]
    assert shown(playback, *times_s) == [i % 3 for i in range(3000)]
