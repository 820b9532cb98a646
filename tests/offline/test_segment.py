"""virst segment: masks as files, and bad input in one line."""

from argparse import ArgumentParser
import os
from pathlib import Path
import shutil
import subprocess
import sys

from clip_miniature import save_clip
import cv2
import numpy as np
from patience import LIMIT_S
from PIL import Image
import pytest
from streams import noise_frames
import torch

from virst_model.answer import TRACKING, QueryResult, StepResult
from virst_model.checkpoints.options import load_model
from virst_model.errors import FileError
from virst_model.frames import open_frames
from virst_model.offline import segment
from virst_model.overlay import COLOURS, draw_overlay
from virst_model.video_writer import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
FRAMES = noise_frames(10)


@pytest.fixture(scope="module", autouse=True)
def _one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.mp4"
    code = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, 12.0, FRAMES[0].shape[1::-1])
    for image in FRAMES:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def run(weights, tmp_path):
    """Runs the program on `arguments` with its output in tmp_path / "out"; the exit status."""

    def run(*arguments):
        fixed = ["--model", str(weights), "--device", "cpu", "--out", str(tmp_path / "out")]
        return segment.main([*fixed, *map(str, arguments)])  # the last of two options wins

    return run


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_video_file_gives_a_numbered_png_for_each_frame(run, video, tmp_path, capsys):
    assert run(video, "--query", "the red circle") == 0

    out = tmp_path / "out"
    assert files(out) == [f"the-red-circle/{i:05d}.png" for i in range(10)]
    for path in out.rglob("*.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (48, 64) and mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 255}
    assert capsys.readouterr().out == f"{out / 'the-red-circle'}\n"


def test_masks_are_named_as_the_images_of_a_folder(run, tmp_path):
    (tmp_path / "images").mkdir()
    names = ["img_8", "img_9", "img_10"]
    for name, image in zip(names, FRAMES):
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.jpg")

    assert run(tmp_path / "images", "--query", "it") == 0

    assert files(tmp_path / "out") == sorted(f"it/{name}.png" for name in names)


def test_masks_of_a_bag_are_numbered(run, tmp_path, capsys):
    pytest.importorskip("rosbags", reason="needs the extra bags")
    from bags import film, write_bag

    times_s = [0.1 * index for index in range(3)]
    left, right = (film(FRAMES[:3], times_s, topic) for topic in ("/left", "/right"))
    bag = write_bag(tmp_path / "bag", [*left, *right])

    assert run(bag, "--query", "it") == 2
    assert capsys.readouterr().err == (
        f"error: {bag}: has images on 2 topics; --topic (of virst-camera: topic:=) says which: "
        "/left, /right\n"
    )
    assert run(bag, "--topic", "/right", "--query", "it", "--overlay") == 0
    masks = [f"it/{index:05d}.png" for index in range(3)]
    assert files(tmp_path / "out") == [*masks, "overlay.mp4"]


def test_a_damaged_message_of_a_bag_repeats_the_picture_before_it(run, tmp_path, caplog):
    pytest.importorskip("rosbags", reason="needs the extra bags")
    from bags import film, write_bag

    messages = film(FRAMES[:4], [0.0, 0.1, 0.2, 0.3])
    messages[2] = (messages[2][0], 0.2, b"damaged")
    bag = write_bag(tmp_path / "bag", messages)

    assert run(bag, "--query", "it") == 0
    assert files(tmp_path / "out") == [f"it/{index:05d}.png" for index in range(4)]
    assert "frame 2 cannot be decoded" in caplog.text
    assert "its mask is propagated from memory" in caplog.text


def test_a_camera_is_not_segmented_offline(run, capsys):
    assert run("rtsp://me:secret@10.0.0.7/eye", "--query", "it") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: rtsp://10.0.0.7/eye: a camera has no end; record it first")
    assert "secret" not in said and len(said.splitlines()) == 1


def test_an_image_gives_one_mask_and_one_overlay_picture(run, tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "photo.png")

    assert run(tmp_path / "photo.png", "--query", "it", "--overlay") == 0

    assert files(tmp_path / "out") == ["it/photo.png", "overlay.png"]


def test_each_query_has_its_folder(run, video, tmp_path):
    queries = ["The red circle!", "the red circle", "?!", "红球", "../../etc/passwd"]

    assert run(video, *(x for q in queries for x in ("--query", q))) == 0

    folders = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert folders == sorted(["the-red-circle", "the-red-circle-2", "query", "红球", "etc-passwd"])
    assert len(files(tmp_path / "out")) == 5 * 10


def test_the_overlay_is_a_video_as_long_and_as_fast_as_the_input(run, video, tmp_path):
    assert run(video, "--query", "the red circle", "--overlay") == 0

    capture = cv2.VideoCapture(str(tmp_path / "out" / "overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.0
    assert sum(1 for _ in iter(capture.grab, False)) == 10


def test_the_overlay_tints_the_mask_and_nothing_else():
    image = np.full((120, 160, 3), 100, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[60:100, 40:80] = True
    answer = QueryResult(1, 1, "it", TRACKING, 0.9, 0.9, mask, (40, 60, 40, 40), 1600)
    result = StepResult(0, 0.0, (answer,), mask.view(np.uint8) * 255, mask.view(np.uint8))

    drawn = draw_overlay(image, result)

    changed = (drawn != 100).any(axis=2)
    assert changed[60:100, 40:80].all()
    changed[58:102, 38:82] = False  # the outline is two pixels wide
    assert not changed[20:].any()  # above is the caption


@pytest.mark.parametrize("colour", [*COLOURS[:2], (0, 0, 0), (255, 255, 255), (128, 128, 128)])
def test_the_outline_shows_on_every_colour_and_on_its_own(colour):
    """Of object and ground in one colour the outline is all that can be seen."""
    mask = np.zeros((240, 320), bool)
    mask[100:200, 100:200] = True
    image = np.full((240, 320, 3), colour, np.uint8)
    answer = QueryResult(1, 1, "it", TRACKING, 0.9, 0.9, mask, (100, 100, 100, 100), 10000)
    result = StepResult(0, 0.0, (answer,), mask.view(np.uint8) * 255, mask.view(np.uint8))

    drawn = draw_overlay(image, result)[..., ::-1].astype(int)

    for edge in (drawn[150, 95:105], drawn[150, 195:205], drawn[195:205, 150]):
        away = [np.abs(edge - other).sum(axis=1) for other in (drawn[150, 150], np.array(colour))]
        assert np.min(away, axis=0).max() > 200


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 40), (40, 1)])
def test_a_picture_of_some_pixels_is_drawn_on(size):
    image = np.full((*size, 3), 100, np.uint8)
    mask = np.ones(size, bool)
    answer = QueryResult(1, 1, "it", TRACKING, 0.9, 0.9, mask, (0, 0, *size[::-1]), mask.size)
    result = StepResult(0, 0.0, (answer,), mask.view(np.uint8) * 255, mask.view(np.uint8))
    assert draw_overlay(image, result).shape == image.shape


def test_a_slow_motion_video_has_all_its_masks_and_an_overlay(run, tmp_path):
    """119.957 frames a second: MPEG-4 of OpenCV has no such time base."""
    writer = VideoWriter(tmp_path / "slow.mp4", 119.957)
    for image in FRAMES:
        writer.write(image)
    writer.close()

    assert run(tmp_path / "slow.mp4", "--query", "it", "--overlay") == 0

    assert len(files(tmp_path / "out" / "it")) == 10
    frames = list(open_frames(tmp_path / "out" / "overlay.mp4"))
    assert len(frames) == 10 and frames[-1].time_s == pytest.approx(9 / 119.957, abs=1e-3)


def test_an_overlay_has_the_times_of_its_video(run, tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    times_s = [0.0, 0.1, 0.2, 1.5, 1.6, 1.61, 2.0, 4.0, 4.1, 4.2]
    writer = VideoWriter(tmp_path / "phone.mp4", 10.0)
    for image, time_s in zip(FRAMES, times_s, strict=True):
        writer.write(image, time_s)
    writer.close()

    assert run(tmp_path / "phone.mp4", "--query", "it", "--overlay") == 0

    frames = list(open_frames(tmp_path / "out" / "overlay.mp4"))
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=1e-3)


@pytest.mark.parametrize("at", ["open", "write", "close"])
def test_an_overlay_that_fails_costs_no_mask(run, video, tmp_path, monkeypatch, caplog, at):
    def fail(self, *arguments):
        raise FileError(tmp_path / "out" / "overlay.mp4", f"cannot be written ({at})")

    if at == "open":
        (tmp_path / "out" / "overlay.mp4").mkdir(parents=True)
    else:
        monkeypatch.setattr(VideoWriter, at, fail)

    assert run(video, "--query", "it", "--overlay") == 0

    assert len(files(tmp_path / "out" / "it")) == 10
    (record,) = caplog.records
    assert "overlay.mp4: cannot be written (" in record.getMessage()


def test_an_overlay_that_fills_the_disk_is_taken_away(run, video, tmp_path, caplog):
    pytest.importorskip("av", reason="needs the extra video")
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlay.mp4").symlink_to("/dev/full")

    assert run(video, "--query", "it", "--overlay") == 0

    assert files(tmp_path / "out") == [f"it/{i:05d}.png" for i in range(10)]
    (record,) = caplog.records
    assert "overlay.mp4: cannot be written (No space left" in record.getMessage()


def test_names_with_blanks_and_lines_in_them_are_names(run, video, tmp_path, capsys):
    place = tmp_path / "a  folder\nof mine"
    place.mkdir()
    shutil.copy(video, place / "50% of:it.mp4")
    out = str(tmp_path / "out\nof it")

    assert run(place / "50% of:it.mp4", "--query", "it", "--overlay", "--out", out) == 0

    assert len(files(Path(out) / "it")) == 10
    assert capsys.readouterr().out == f"{tmp_path}/out\\nof it/it\n"


def test_a_corrupt_frame_is_a_warning_that_names_it(run, tmp_path, caplog):
    (tmp_path / "images").mkdir()
    for t, image in enumerate(FRAMES):
        Image.fromarray(image).save(tmp_path / "images" / f"{t:05d}.jpg")
    broken = tmp_path / "images" / "00004.jpg"
    broken.write_bytes(broken.read_bytes()[:500])

    assert run(tmp_path / "images", "--query", "it") == 0

    assert files(tmp_path / "out") == [f"it/{t:05d}.png" for t in range(10)]
    (record,) = caplog.records
    assert record.levelname == "WARNING" and str(broken) in record.getMessage()


def bad_inputs(folder):
    """Arguments, and what the one line says."""
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "0.png").write_bytes(b"\x89PNG no more")
    (folder / "text.mp4").write_text("not a video " * 100)
    Image.fromarray(FRAMES[0]).save(folder / "good.png")
    good = folder / "good.png"
    return [
        ([folder / "missing.mp4", "--query", "it"], f"{folder / 'missing.mp4'}: no such file"),
        ([folder / "empty", "--query", "it"], f"{folder / 'empty'}: holds no images"),
        ([folder / "broken", "--query", "it"], f"{folder / 'broken'}: holds no frame that can"),
        ([folder / "text.mp4", "--query", "it"], f"{folder / 'text.mp4'}: is not a video"),
        ([good, "--query", " "], "--query: a query without words"),
        ([good, "--query", "it", "--device", "warp9"], "--device warp9: "),
        ([good, "--query", "it", "--model", folder / "nowhere"], f"{folder / 'nowhere'}: no such"),
        ([good, "--query", "it", "--out", good], f"{good / 'it'}: cannot be made"),
    ]


def test_bad_input_is_one_line_and_exit_status_2(weights, tmp_path, capsys):
    for arguments, reason in bad_inputs(tmp_path):
        defaults = ["--model", weights, "--device", "cpu", "--out", tmp_path / "out"]
        # The last of two options wins.
        status = segment.main([str(x) for x in [arguments[0], *defaults, *arguments[1:]]])

        captured = capsys.readouterr()
        assert status == 2 and captured.out == ""
        # A carriage return and blanks: the bar that was wiped away.
        line = captured.err.rpartition("\r")[2]
        assert line.startswith(f"error: {reason}"), arguments
        assert line.count("\n") == 1 and line.endswith("\n")


def test_a_damaged_video_is_one_line_on_a_terminal_too(tmp_path):
    """FFmpeg writes to stderr behind Python's back, so this needs a process."""
    path = tmp_path / "damaged.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(500))

    done = subprocess.run(
        [sys.executable, "-m", "virst_model", "segment", str(path), "--query", "it"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    assert done.returncode == 2
    assert done.stderr == f"error: {path}: is not a video that can be read\n"


def test_a_full_disk_is_one_line(run, video, monkeypatch, capsys):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    assert run(video, "--query", "it") == 2
    assert "00000.png: cannot be written (No space left on device)" in capsys.readouterr().err


def test_a_precision_is_an_argument(monkeypatch):
    loads = []
    monkeypatch.setattr("virst_model.checkpoints.options.load", lambda *call: loads.append(call))
    parser = ArgumentParser()
    segment.add_model_options(parser)

    for name in ("fp32", "fp16", "bf16", "float32", "float16", "bfloat16"):
        load_model(parser.parse_args(["--device", "cpu", "--dtype", name]))
    load_model(parser.parse_args(["--device", "cpu", "--quantize", "int8"]))

    dtypes = [torch.float32, torch.float16, torch.bfloat16] * 2
    assert loads[:-1] == [(None, "cpu", dtype, "off") for dtype in dtypes]
    assert loads[-1] == (None, "cpu", None, "int8")


def test_guided_anchors_need_a_clip_and_take_it(run, video, tmp_path, capsys):
    guided = (video, "--query", "it", "--anchors", "guided")

    assert run(*guided) == 2
    error = capsys.readouterr().err
    assert "needs --clip DIR" in error and error.count("\n") == 1

    assert run(*guided, "--clip", save_clip(tmp_path / "clip")) == 0
    assert len(files(tmp_path / "out")) == 10
