"""`virst-demo` with a model of random weights, `virst-query`, and the numbers of the report."""

from __future__ import annotations

import json
from pathlib import Path
import re

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from patience import LIMIT_S
from robot import Robot, image, red_square

from virst_model.frames import open_frames
from virst_model.synthetic.scenes import DEMO_QUERIES, demo_scene
from virst_ros.demo import report
from virst_ros.demo.__main__ import main
from virst_ros.demo.film import PHOTOGRAPHS
from virst_ros.demo.recorder import FrameRecord, SheetFrame, StampedVideo
from virst_ros.demo.report import STRIP, Span

SCRIPTED = str(Path(__file__).parents[1] / "fixtures" / "scripted_segment.py")
KEYS = {
    *("query", "frames_published", "masks_received", "mask_fps", "tracking_masks"),
    *("tracking_fps", "latency_ms", "first_mask_s", "mean_iou", "dropped_frames"),
}


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory) -> Path:
    """A folder with a tiny model that has learned nothing."""
    import virst_model
    from virst_model import config
    from virst_model.checkpoints import load

    tokenizer = load._tokenizer(load.TINY)
    model = virst_model.build(config.tiny(tokenizer.get_vocab_size()), tokenizer=tokenizer)
    folder = tmp_path_factory.mktemp("random_weights")
    load.save(model, folder)
    return folder


def run_demo(start_process, out: Path, *arguments: str):
    """A demo that is long enough for masks of both queries, on a busy machine longer."""
    for seconds in ("4", "16", "64"):
        process = start_process(
            *("-m", "virst_ros.demo", "--seconds", seconds, "--out", str(out)), *arguments
        )
        process.popen.wait(LIMIT_S)
        assert (out / "report.json").is_file(), process.output
        written = json.loads((out / "report.json").read_text())
        if all(query["masks_received"] for query in written["queries"]):
            break
    return process, written


@pytest.mark.slow
def test_demo_writes_video_sheet_and_report(start_process, random_weights, tmp_path):
    arguments = ("--model", str(random_weights))
    process, written = run_demo(start_process, tmp_path, *arguments)

    first, second = written["queries"]
    assert (first["query"], second["query"]) == DEMO_QUERIES
    for query in (first, second):
        assert set(query) >= KEYS
        assert set(query["latency_ms"]) == {"p50", "p95", "p99"}
        assert 0 < query["masks_received"] <= query["frames_published"]
    # Random weights follow nothing: the demo says so and fails.
    assert second["answerable"] and not written["passed"]
    assert process.popen.returncode == 1
    assert DEMO_QUERIES[0] in written["faults"][0]
    for column in report.COLUMNS:
        (line,) = [line for line in process.output.splitlines() if line.endswith(column.meaning)]
        assert line.startswith(column.name)
    assert report.BAR in process.output
    assert cv2.VideoCapture(str(tmp_path / "overlay.mp4")).read()[0]
    assert cv2.imread(str(tmp_path / "contact_sheet.png")).shape[1] > 1000


@pytest.mark.slow
def test_a_query_of_ones_own_has_all_the_time(start_process, random_weights, tmp_path):
    arguments = ("--model", str(random_weights), "--query", "the green zebra")
    process, written = run_demo(start_process, tmp_path, *arguments)

    (query,) = written["queries"]
    assert (query["query"], query["answerable"]) == ("the green zebra", False)
    assert query["mean_iou"] is None and query["seconds"] >= 4
    assert process.popen.returncode == 0, process.output


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bag", "folder"])
def test_demo_of_what_the_camera_plays(start_process, random_weights, tmp_path, kind):
    pictures = [demo_scene(1).render(index / 5, 240, 320)[0] for index in range(10)]
    source = tmp_path / "007"  # as a number it would be another folder
    more: tuple[str, ...] = ()
    if kind == "bag":
        pytest.importorskip("rosbags", reason="needs the extra bags")
        from bags import film, write_bag

        times_s = [index / 5 for index in range(10)]
        whole = [m for topic in ("/eye", "/other") for m in film(pictures, times_s, topic)]
        write_bag(source, whole)
        more = ("--topic", "/eye")
    else:
        source.mkdir()
        for index, picture in enumerate(pictures):
            cv2.imwrite(str(source / f"{index}.png"), picture[..., ::-1])
    arguments = ("--model", str(random_weights), "--query", "the cup", "--video", str(source))
    process, written = run_demo(start_process, tmp_path / "out", *arguments, *more)

    assert process.popen.returncode == 0, process.output
    assert written["source"] == str(source) and written["queries"][0]["masks_received"]


@pytest.mark.slow
def test_demo_of_a_video_knows_no_truth(start_process, random_weights, tmp_path):
    video = str(tmp_path / "scene.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter_fourcc(*"MJPG"), 15.0, (320, 240))
    scene = demo_scene(1)
    for index in range(30):
        writer.write(scene.render(index / 15, 240, 320)[0][..., ::-1])
    writer.release()
    arguments = ("--model", str(random_weights), "--video", video)
    process, written = run_demo(start_process, tmp_path / "out", *arguments)

    assert process.popen.returncode == 0, process.output
    assert written["passed"]
    assert [query["mean_iou"] for query in written["queries"]] == [None, None]
    assert all(query["masks_received"] for query in written["queries"])


@pytest.mark.slow
def test_demo_before_a_photograph_knows_the_truth(start_process, random_weights, tmp_path):
    arguments = ("--model", str(random_weights), "--scene", "photo", "--seed", "1")
    _, written = run_demo(start_process, tmp_path, *arguments)

    assert written["source"] == f"scene before {PHOTOGRAPHS / 'stairs.jpg'}"
    assert all(query["answerable"] for query in written["queries"])
    # What the camera filmed, at the top of the sheet, is the photograph where no object is.
    top = 3 * STRIP
    filmed = cv2.imread(str(tmp_path / "contact_sheet.png"))[top : top + 240, :320]
    photograph = cv2.resize(cv2.imread(str(PHOTOGRAPHS / "stairs.jpg")), (320, 240))
    apart = np.abs(cv2.blur(filmed, (5, 5)).astype(int) - cv2.blur(photograph, (5, 5))).max(axis=2)
    assert (apart < 30).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--photographs", "mine"], "--photographs mine: belong to --scene photo"),
        (["--scene", "photo", "--photographs", "/no/photos"], "/no/photos: "),
        (["--scene", "photo", "--photographs", str(Path(__file__).parent)], "no images"),
        (["--scene", "photo", "--video", __file__], "has no scene to be photo"),
        (["--video", "/no/video.mp4"], "--video /no/video.mp4: no such file or folder"),
        (["--video", str(Path(__file__).parent)], "holds no images"),
        (["--video", str(Path(__file__).parent), "--topic", "/eye"], "/eye: belongs to a bag"),
        (["--topic", "/eye"], "--topic /eye: belongs to a bag; --video names it"),
        (["--query", " "], "--query: a query without words"),
        (["--scene", "beach"], "invalid choice: 'beach'"),
    ],
)
def test_what_cannot_be_filmed_is_one_line(capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_each_photograph_of_the_package_is_small_and_nobodys_but_all_peoples():
    pictures = [path for path in PHOTOGRAPHS.iterdir() if path.name != "README.md"]
    rows = [
        [cell.strip(" `") for cell in line.strip("| \n").split("|")]
        for line in (PHOTOGRAPHS / "README.md").read_text().splitlines()
        if line.startswith("| `")
    ]

    assert sorted(row[0] for row in rows) == sorted(path.name for path in pictures)
    assert {row[3] for row in rows} <= {"CC0-1.0", "public domain"}
    assert sum(path.stat().st_size for path in pictures) < 500_000
    for path in pictures:
        assert cv2.imread(str(path)).shape[0] * 4 == cv2.imread(str(path)).shape[1] * 3


def test_demo_says_why_the_node_did_not_start(start_process, tmp_path):
    arguments = ("-m", "virst_ros.demo", "--out", str(tmp_path / "out"), "--model", "/no/weights")
    process = start_process(*arguments)

    assert process.popen.wait(LIMIT_S) == 1
    assert "/no/weights" in process.output


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_demo_takes_its_processes_along(start_process, spin_until, random_weights, tmp_path):
    arguments = ("--model", str(random_weights), "--out", str(tmp_path))
    process = start_process("-m", "virst_ros.demo", *arguments)
    assert spin_until(lambda: len(children(process.popen.pid)) == 2)
    started = children(process.popen.pid)

    assert process.stop() == 130
    assert "Traceback" not in process.output
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


def test_query_client(start_process, ros_node, spin_until):
    start_process(SCRIPTED, "--ros-args", "-p", "diagnostics_period_s:=0.2")
    robot = Robot(ros_node, spin_until)
    robot.wait_until_active()

    def ask(*arguments: str) -> tuple[int, str]:
        process = start_process("-m", "virst_ros.query", "--timeout", str(LIMIT_S), *arguments)
        return process.popen.wait(LIMIT_S), process.output

    status, output = ask("the red zebra")
    assert status == 0 and "query 1" in output and "zebra" in output
    assert ask("the circle", "--append")[0] == 0
    robot.answer_to(image(red_square(), 1.0))
    assert [s.text for s in robot.segmentations[-1].segmentations] == [
        "the red zebra",
        "the circle",
    ]
    status, output = ask("x" * 2000)
    assert status == 1 and "refused" in output and "2000" in output
    assert ask("--list") == (
        0,
        "1  label 1  tracking  the red zebra\n2  label 2  tracking  the circle\n",
    )
    assert ask("--remove", "1") == (0, "query 1: removed\n")
    status, output = ask("--remove", "1")
    assert status == 1 and output == "refused: there is no query 1; there are: 2\n"
    assert ask("the", "red", "circle")[0] == 0, "words need no quotes"
    assert ask("--list") == (0, "3  label 3  searching  the red circle\n")
    assert ask("--disable", "3") == (0, "query 3: disabled\n")
    assert ask("the cup", "--append", "--name", "cup")[0] == 0
    listed = "3  label 3  disabled  the red circle\n4  label 4  searching  the cup  (cup)\n"
    assert ask("--list") == (0, listed)
    assert ask("--clear") == (0, "cleared\n")
    assert ask("--list") == (0, "no queries\n")
    assert ask("--service", "/nobody/set_query", "--timeout", "0.5", "red") == (
        2,
        "no service /nobody/set_query after 0.5 s: is the node configured?\n",
    )
    for wrong in ((), ("--list", "--clear"), ("--append",), ("--remove", "0"), ("--name", "a")):
        status, output = ask(*wrong)
        assert status == 2 and output.splitlines()[-1].startswith("virst-query: error: "), wrong


@pytest.mark.parametrize("program", ["query", "camera", "demo", "segment"])
def test_an_argument_that_is_no_text_is_one_line(start_process, program):
    process = start_process("-m", f"virst_ros.{program}", "a\udce9")

    assert process.popen.wait(LIMIT_S) in (1, 2)
    assert len(process.output.splitlines()) == 1, process.output
    assert "is a byte that is not UTF-8" in process.output


def records() -> list[FrameRecord]:
    """Ten frames, 0.1 s apart from 100 s on; the query is answered from the third, with a drop."""
    made = []
    for index in range(10):
        stamp_s = 100.0 + index / 10
        record = FrameRecord(stamp_s)
        if index != 5:
            record.mask_at_s, record.query_id = stamp_s + 0.05, 7
            record.state = "searching" if index < 2 else "tracking"
            record.state_at_s = stamp_s + 0.06
            record.iou = 0.8 if index >= 2 else None
        made.append(record)
    return made


def test_the_report_counts_what_came():
    measured = report.measure(Span("red", 7, 100.0, 101.0, True), records())

    assert (measured["frames_published"], measured["masks_received"]) == (10, 9)
    assert (measured["tracking_masks"], measured["dropped_frames"]) == (7, 1)
    assert measured["mask_fps"] == pytest.approx(9.0)
    assert measured["first_mask_s"] == pytest.approx(0.26)
    assert measured["mean_iou"] == pytest.approx(0.8)
    assert measured["latency_ms"]["p50"] == pytest.approx(50.0)
    assert not report.faults([measured])


def test_the_report_of_another_query_is_empty():
    measured = report.measure(Span("red", 8, 100.0, 101.0, True), records())

    assert (measured["masks_received"], measured["first_mask_s"]) == (0, None)
    assert measured["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert "no mask" in report.faults([measured])[0]
    assert "red" in report.text_table([measured])


def test_what_the_scene_cannot_answer_is_no_fault():
    measured = report.measure(Span("zebra", 7, 100.0, 101.0, False), records())

    assert measured["mean_iou"] is None
    assert not report.faults([measured])


def test_an_answerable_query_that_is_never_followed_is_a_fault():
    searching = [FrameRecord(100.1, 100.2, 7, "searching", 100.2)]
    measured = report.measure(Span("red", 7, 100.0, 101.0, True), searching)

    assert "mean_iou" in report.faults([measured])[0]


def test_the_sheet_shows_every_state_once_and_the_newest():
    states = ["searching", "searching", "tracking", *["tracking"] * 5, "lost", "tracking"]
    empty = np.zeros((48, 64), bool)
    frame_HW3 = np.zeros((48, 64, 3), np.uint8)
    samples = [
        SheetFrame(FrameRecord(100.0 + i, 100.1 + i, 7, s, 0.0, 0.5), frame_HW3, empty)
        for i, s in enumerate(states)
    ]
    chosen = report.choose(samples)

    assert [s.record.state for s in chosen] == ["searching", "tracking", "lost", "tracking"]
    sheet = report.contact_sheet([Span("red", 7, 100.0, 110.0, True)] * 2, [samples, []])
    assert sheet.shape == (60 + 4 * (30 + 240), 2 * (960 + 12), 3)


def test_the_overlay_keeps_its_own_time(tmp_path):
    video = StampedVideo(tmp_path / "overlay.mp4", 10.0)
    for stamp_s in (100.0, 100.1, 100.5, 100.6):
        video.write(np.zeros((48, 64, 3), np.uint8), stamp_s)

    assert video.close()
    times_s = [frame.time_s for frame in open_frames(tmp_path / "overlay.mp4")]
    # The stillness is one long frame, or as many as it lasts where the film has one rate.
    assert len(times_s) in (4, 7) and times_s[-1] == pytest.approx(0.6)
    assert not StampedVideo(tmp_path / "none.mp4", 10.0).close()


def test_every_figure_of_the_table_is_explained_in_a_line_below():
    measured = report.measure(Span("red", 7, 100.0, 101.0, True), records())
    head = report.text_table([measured]).splitlines()[0]
    lines = report.legend().splitlines()

    names = re.split(r" {2,}", head)
    explained = [re.split(r" {2,}", line)[0] for line in lines[:-1]]
    assert names == explained and len(names) == len(report.COLUMNS)
    assert all(len(line) < 110 for line in lines)


def test_a_camera_that_is_not_there_ends_the_demo_with_its_line(start_process, tmp_path):
    """/dev/video99, which the camera's process opens and no other."""
    arguments = ("-m", "virst_ros.demo", "--out", str(tmp_path / "out"), "--video", "/dev/video99")
    process = start_process(*arguments)

    assert process.popen.wait(LIMIT_S) == 1
    assert "/dev/video99 cannot be opened; this machine has" in process.output
    assert "Traceback" not in process.output
