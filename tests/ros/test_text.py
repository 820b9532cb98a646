"""Text from outside, as log lines and diagnostics show it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from diagnostic_msgs.msg import KeyValue
from robot import header, image, red_square

from virst_model.answer import Query
from virst_ros import complaints
from virst_ros.complaints import kept_out
from virst_ros.convert import ImageError, choose_backend, image_to_array
from virst_ros.diagnosis import Snapshot, report
from virst_ros.meter import Meter
from virst_ros.notices import Trouble
from virst_ros.text import shown, shown_error, shown_traceback

NASTY = "\x1b[2J\x00\r\n\u202e\u2028\ud800"


def test_text_is_cut_and_says_by_how_much():
    assert shown("camera") == "camera"
    assert shown("x" * 10**6, 10) == "xxxxxxxxxx... (999990 more characters)"


def test_what_a_terminal_would_obey_is_written_out():
    line = shown("le café " + NASTY)

    assert line == "le café \\x1b[2J\\x00\\r\\n\\u202e\\u2028\\ud800"
    line.encode()  # half a character could not be sent


def test_an_error_is_one_line_and_its_traceback_is_not_long():
    try:
        try:
            raise ValueError("y" * 10**6 + "\n" * 10**4)
        except ValueError as cause:
            raise RuntimeError(NASTY) from cause
    except RuntimeError as error:
        line, report = shown_error(error), shown_traceback(error)

    assert line.startswith("RuntimeError: \\x1b[2J") and "\n" not in line
    assert "in test_an_error" in report and "RuntimeError" in report
    assert len(report) < 20_000
    assert "\x1b" not in report


def test_diagnostics_are_bounded_and_clean_whatever_comes():
    meter, outside = Meter(), NASTY + "z" * 10**6
    meter.count("bad_frames", outside)
    queries = tuple(Query(n, "q" * 1000, n) for n in range(1, 17))
    trouble = Trouble("outside", outside, "")
    node = Snapshot("/segment", "active", "/image", meter, 0, queries=queries, troubles=(trouble,))
    statuses = report(node).status

    texts = [s.message for s in statuses] + [pair.value for s in statuses for pair in s.values]
    assert sum(map(len, texts)) < 30_000
    assert all(text.isprintable() for text in texts)
    assert statuses[-1].name == "segment: query 16"
    assert KeyValue(key="text", value="q" * 1000) in statuses[-1].values


def test_a_long_encoding_does_not_become_a_long_remark():
    message = image(red_square(), 1.0)
    message.encoding = "e" * 10**6
    message.header = header(1.0, "f" * 10**6)
    with pytest.raises(ImageError) as caught:
        image_to_array(message, choose_backend("rosbags"))
    meter = Meter()
    meter.count("bad_frames", str(caught.value))

    assert len(meter.remark("bad_frames")) < 700


READ_DAMAGED_PICTURES = """
import os, sys, threading
import cv2, numpy as np
from sensor_msgs.msg import CompressedImage
from virst_ros.convert import ImageError, choose_backend, image_to_array

backend = choose_backend()

noise_HW3 = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
talking = threading.Event()

def talk():
    for number in range(2000):
        os.write(2, f"line {number}\\n".encode())
        if number == 20:
            talking.set()

talker = threading.Thread(target=talk)
talker.start()
talking.wait()
for suffix in (".jpg", ".png"):
    good = cv2.imencode(suffix, noise_HW3)[1].tobytes()
    for at in range(1000, len(good) - 1000, len(good) // 20):
        damaged = good[:at] + good[at + 300 :]
        try:
            image_to_array(CompressedImage(format=suffix[1:], data=damaged), backend)
        except ImageError:
            pass
tiff = cv2.imencode(".tiff", noise_HW3)[1].tobytes()
for end in range(len(tiff) - 300, len(tiff)):  # within its header, which is at its end
    try:
        image_to_array(CompressedImage(format="tiff", data=tiff[:end]), backend)
    except ImageError:
        pass
talker.join()
cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR)  # as it were without us
"""


def test_complaints_about_damaged_pictures_stay_out_and_all_other_lines_come_through():
    ended = subprocess.run(
        [sys.executable, "-c", READ_DAMAGED_PICTURES],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
    )
    lines = ended.stderr.splitlines()

    others = [line for line in lines if line.startswith("line")]
    assert sorted(others) == sorted(f"line {n}" for n in range(2000)), "each once"
    assert len(lines) == 2001 and "libpng" in lines[-1], "one complaint, ours to have let through"


def test_a_line_that_is_written_while_a_picture_is_read_comes_before_the_next(capfd):
    for number in range(3):
        with kept_out():
            os.write(2, f"line {number} while\n".encode())
            os.write(2, b"libpng error: bad\n")
        os.write(2, f"line {number} after\n".encode())

    assert capfd.readouterr().err.splitlines() == [
        f"line {number} {when}" for number in range(3) for when in ("while", "after")
    ]


def test_pictures_are_read_although_nobody_reads_stderr_any_more():
    code = """
import os
from virst_ros.complaints import kept_out
reads, writes = os.pipe()
os.dup2(writes, 2)
os.close(reads)
with kept_out():
    os.write(2, b"a line of another thread\\n")
assert os.fstat(2).st_ino == os.fstat(writes).st_ino, "stderr is where it was"
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_a_place_to_keep_complaints_pictures_are_read(monkeypatch, capfd):
    def full() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(complaints, "_spool", full)
    with kept_out():
        os.write(2, b"a line\n")
    assert capfd.readouterr().err == "a line\n"


def test_without_a_stderr_pictures_are_read():
    code = "import os; os.close(2)\n" + READ_DAMAGED_PICTURES.replace(
        "os.write(2", "(lambda *_: 0)(2"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
