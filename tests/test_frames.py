"""Folders and videos as frames: their order, their times, what is in them that is nobody's."""

import cv2
import miniatures
import numpy as np
from PIL import Image
import pytest

from virst_model.data.own import load_own
from virst_model.data.picture import names_in
from virst_model.errors import FileError
from virst_model.frames import VideoFile, first_image, list_folder, list_images, open_frames
from virst_model.video_writer import VideoWriter

# What a Mac leaves beside each file of an exFAT disk or a zip.
FORK = b"\x00\x05\x16\x07" + bytes(120)
LEFT_BEHIND = ("._00000.png", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._00000.png")


def leave(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(FORK)


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_systems_leave_in_a_folder_is_no_frame(tmp_path, name):
    for number in range(3):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number:05d}.png")
    leave(tmp_path, name)

    wanted = ["00000.png", "00001.png", "00002.png"]
    assert [path.name for path in list_folder(tmp_path)] == wanted
    assert [path.name for path in list_images(tmp_path)] == wanted
    assert names_in(tmp_path, "pictures") == set(wanted)
    assert [frame.name for frame in open_frames(tmp_path)] == ["00000", "00001", "00002"]


@pytest.mark.parametrize(
    "folder", ["videos", "videos/kitchen", "masks/kitchen", "masks/kitchen/cup"]
)
@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_systems_leave_in_own_footage_is_left_alone(tmp_path, folder, name):
    miniatures.make_own(tmp_path)
    before = load_own(tmp_path / "own", "train")
    leave(tmp_path / "own" / folder, name)

    after = load_own(tmp_path / "own", "train")

    assert [record.frames for record in after.records] == [r.frames for r in before.records]
    assert after.expressions == before.expressions and after.skipped == before.skipped


def test_a_folder_of_nothing_but_what_systems_leave_holds_no_images(tmp_path):
    leave(tmp_path, "._00000.png")
    with pytest.raises(FileError, match="holds no images"):
        open_frames(tmp_path)


def test_the_picture_that_cannot_be_read_is_named_where_none_can(tmp_path):
    (tmp_path / "7.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(
        FileError, match=r": holds no frame that can be read \(.*7\.png: cannot be"
    ):
        first_image(open_frames(tmp_path))


def grey(value):
    return np.full((48, 64, 3), value, np.uint8)


def film(path, times_s, rate_hz=10.0):
    pytest.importorskip("av", reason="needs the extra video")
    writer = VideoWriter(path, rate_hz)
    for index, time_s in enumerate(times_s):
        writer.write(grey(20 + 10 * index), time_s)
    writer.close()
    return path


def test_frames_of_a_video_have_the_times_that_it_says(tmp_path):
    times_s = [0.0, 0.1, 0.4, 0.41, 2.0]
    frames = open_frames(film(tmp_path / "a.mp4", times_s))
    for _ in range(2):
        assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=1e-3)


def test_frames_without_times_come_at_their_rate(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", [0.0, 0.1, 0.2])
    known = cv2.VideoCapture

    class Timeless:
        def __init__(self, name):
            self._capture = known(name)

        def get(self, what):
            return 0.0 if what == cv2.CAP_PROP_POS_MSEC else self._capture.get(what)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Timeless)
    assert [frame.time_s for frame in VideoFile(path)] == pytest.approx([0.0, 0.1, 0.2])


def recording(path, count):
    """As browsers write it: no duration, no number of frames."""
    av = pytest.importorskip("av", reason="needs the extra video")
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as file:
        stream = file.add_stream("libvpx", rate=15)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(grey(20 + 10 * index), format="bgr24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("count", [1, 12])
def test_a_recording_of_a_browser_is_as_long_and_as_fast_as_it_is(tmp_path, count):
    frames = open_frames(recording(tmp_path / "a.webm", count))

    assert frames.length == count == len(list(frames))
    assert frames.rate_hz == pytest.approx(15 if count > 1 else 30, rel=0.02)


def test_a_header_that_promises_any_number_of_frames_is_not_waited_for(tmp_path, caplog):
    frames = VideoFile(film(tmp_path / "a.mp4", [0.0, 0.1]))
    frames.length = 9 * 10**18
    assert len(list(frames)) == 2 == frames.length
    assert "ends after 2 frames" in caplog.text


def test_a_video_is_turned_as_it_says(tmp_path):
    """Phones hold their sensors sideways: the matrix of the track's head says so."""
    path = film(tmp_path / "a.mp4", [0.0])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # behind version, times, number, length, layer and volume
    quarter = [0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    path.write_bytes(data)

    assert first_image(open_frames(path)).shape == (64, 48, 3)
