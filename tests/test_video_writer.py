"""Videos that are written: any rate, any size, their own times, and a file that players take."""

from pathlib import Path
import sys

import numpy as np
import pytest

from virst_model.errors import FileError
from virst_model.frames import open_frames
from virst_model.video_writer import VideoWriter, openable

RATES_HZ = [0.5, 12.0, 29.97, 66.6667, 119.957, 211.222, 1000.0, 90_000.0]


@pytest.fixture(params=["PyAV", "OpenCV"])
def encoder(request, monkeypatch):
    """Each test is run with PyAV and without it."""
    if request.param == "OpenCV":
        monkeypatch.setitem(sys.modules, "av", None)
    else:
        pytest.importorskip("av", reason="needs the extra video")
    return request.param


def write(path, count=6, rate_hz=12.0, size=(64, 48), times_s=None):
    """Grey pictures, each a step brighter than the one before."""
    writer = VideoWriter(path, rate_hz)
    for index in range(count):
        picture = np.full((size[1], size[0], 3), 20 + 30 * index, np.uint8)
        writer.write(picture, None if times_s is None else times_s[index])
    writer.close()
    return path


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_film_has_all_its_frames_whatever_the_rate(tmp_path, encoder, rate_hz):
    path = write(tmp_path / "a.mp4", rate_hz=rate_hz)

    frames = list(open_frames(path))

    assert len(frames) == 6
    # In ticks of 1/90000 s.
    wanted = np.arange(6) / rate_hz
    assert np.abs(np.array([frame.time_s for frame in frames]) - wanted).max() < 1.1e-5


def test_browsers_and_phones_have_the_codec(tmp_path, encoder):
    data = write(tmp_path / "a.mp4").read_bytes()
    assert data[4:8] == b"ftyp"
    assert {"PyAV": b"avc1", "OpenCV": b"vp09"}[encoder] in data and b"mp4v" not in data


def test_the_head_of_a_film_comes_first(tmp_path):
    """A player that has it can start before the rest is there."""
    pytest.importorskip("av", reason="needs the extra video")
    data = write(tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 7), (63, 47), (16_400, 2)], ids=str)
def test_a_film_of_any_size_is_padded_to_even(tmp_path, encoder, size):
    path = write(tmp_path / "a.mp4", count=2, size=size)

    pictures = [frame.read() for frame in open_frames(path)]

    width, height = (length + length % 2 for length in size)
    assert [picture.shape for picture in pictures] == [(height, width, 3)] * 2
    assert np.allclose([picture.mean() for picture in pictures], (20, 50), atol=4)


def test_pictures_are_shown_at_their_own_times(tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    times_s = [0.0, 0.1, 3.0, 3.01, 3.01, 2.0]  # the last two come as soon as can be

    path = write(tmp_path / "a.mp4", times_s=times_s)

    seen_s = [frame.time_s for frame in open_frames(path)]
    assert seen_s == pytest.approx([0.0, 0.1, 3.0, 3.01, 3.01, 3.01], abs=1e-4)


def test_without_pyav_a_picture_is_held_for_its_time(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "av", None)

    path = write(tmp_path / "a.mp4", 3, 10.0, times_s=[0.0, 0.1, 0.5])

    greys = [frame.read().mean() for frame in open_frames(path)]
    assert np.allclose(greys, [20, 50, 80, 80, 80, 80], atol=4)
    assert "pip install 'virst_ros[video]'" in caplog.text


def test_a_picture_of_another_size_is_shown_at_that_of_the_first(tmp_path, encoder):
    writer = VideoWriter(tmp_path / "a.mp4", 10.0)
    for size in ((30, 40), (60, 80)):
        writer.write(np.full((*size, 3), 90, np.uint8))
    writer.close()
    assert [frame.read().shape for frame in open_frames(tmp_path / "a.mp4")] == [(30, 40, 3)] * 2


@pytest.mark.parametrize("name", ["two  blanks.mp4", "a\nline.mp4", "http:x.mp4", "50%d.mp4"])
def test_a_films_name_is_only_a_name(tmp_path, monkeypatch, encoder, name):
    monkeypatch.chdir(tmp_path)
    write(Path(name), count=2)
    assert len(list(open_frames(name))) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_no_text_is_refused_before_opencv_dies_of_it(tmp_path, encoder):
    path = tmp_path / "caf\udce9.mp4"
    path.write_bytes(b"no video")
    for use in (openable, open_frames, write):
        with pytest.raises(FileError, match=r"caf\\udce9\.mp4: its name is not UTF-8; rename it"):
            use(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path, encoder):
    with pytest.raises(FileError, match=r"a\.mp4: cannot be written \(No such file or directory"):
        write(tmp_path / "nowhere" / "a.mp4")


def test_a_disk_that_is_full_is_named(tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    path = tmp_path / "a.mp4"
    path.symlink_to("/dev/full")
    with pytest.raises(FileError, match=r"a\.mp4: cannot be written \(No space left on device\)"):
        write(path, size=(640, 480))


def test_a_film_without_a_picture_is_no_file(tmp_path, encoder):
    VideoWriter(tmp_path / "a.mp4", 10.0).close()
    assert not (tmp_path / "a.mp4").exists()
