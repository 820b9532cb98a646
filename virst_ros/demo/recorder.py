"""Listens to camera, truth and node at once and keeps what a report needs."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
import json
from pathlib import Path
import time

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from virst_interfaces.msg import SegmentationArray
from virst_model.answer import TRACKING
from virst_model.synthetic.scenes import Scene
from virst_model.video_writer import VideoWriter
from virst_ros.meter import Meter
from virst_ros.qos import EVERY_RESULT, LATCHED, TRUTH

# Frames that wait for their other half: two seconds at 15 Hz.
WAITING = 30
SAMPLES_A_QUERY = 12
SAMPLE_EVERY_S = 1.0
# Of a film: what a clock that jumps may add to it.
LONGEST_STILL_S = 1.0


@dataclass
class FrameRecord:
    """What became of one camera frame. Times are this machine's clock."""

    stamp_s: float
    mask_at_s: float | None = None
    query_id: int = 0
    state: str = ""
    state_at_s: float = 0.0
    iou: float | None = None


@dataclass(frozen=True)
class SheetFrame:
    """A frame for the contact sheet: uint8 RGB (H, W, 3), and its mask, bool (H, W)."""

    record: FrameRecord
    frame_HW3: np.ndarray
    mask_HW: np.ndarray


@dataclass
class FrameParts:
    """What came of a frame so far: image, ids of the truth, mask, and texts by query id."""

    frame_HW3: np.ndarray | None = None
    ids_HW: np.ndarray | None = None
    mask_HW: np.ndarray | None = None
    texts: dict[int, str] = field(default_factory=dict)


class Recorder(Node):
    """Pairs masks with the camera's frames and the truth by their stamps.

    One record of a few numbers stays for each camera frame; images only until they are paired, and
    those of the samples.
    """

    def __init__(self, video: StampedVideo) -> None:
        super().__init__("virst_recorder")
        self.records: OrderedDict[int, FrameRecord] = OrderedDict()  # by stamp in ns
        self.samples: dict[int, list[SheetFrame]] = {}  # by query id
        self.scene: Scene | None = None
        self._start_ns = 0
        self._video = video
        self._waiting: OrderedDict[int, FrameParts] = OrderedDict()
        self.meter = Meter()
        for kind, topic, callback, qos in (
            (Image, "/camera/image_raw", self._on_frame, qos_profile_sensor_data),
            (Image, "/camera/truth/ids", self._on_ids, TRUTH),
            (String, "/camera/truth/scene", self._on_scene, LATCHED),
            (Image, "/virst/masks", self._on_mask, EVERY_RESULT),
            (SegmentationArray, "/virst/segmentations", self._on_segmentations, EVERY_RESULT),
            (Image, "/virst/overlay", self._on_overlay, EVERY_RESULT),
        ):
            self.create_subscription(kind, topic, callback, qos)

    @property
    def state(self) -> str:
        """The state on the newest frame that was answered; empty where none was."""
        return next((r.state for r in reversed(self.records.values()) if r.query_id), "")

    def _on_scene(self, message: String) -> None:
        description = json.loads(message.data)
        self.scene = Scene.from_dict(description)
        self._start_ns = description["start_ns"]

    def _on_frame(self, message: Image) -> None:
        self.meter.count("frames")
        self._record(message.header)
        self._waiting_for(message.header).frame_HW3 = _array(message)
        self._pair(message.header)

    def _on_ids(self, message: Image) -> None:
        self._record(message.header)
        self._waiting_for(message.header).ids_HW = _array(message)
        self._pair(message.header)

    def _on_mask(self, message: Image) -> None:
        self.meter.count("masks")
        self._record(message.header).mask_at_s = time.time()
        self._waiting_for(message.header).mask_HW = _array(message) > 0
        self._pair(message.header)

    def _on_segmentations(self, message: SegmentationArray) -> None:
        record = self._record(message.header)
        for answer in message.segmentations:  # the demo asks for one thing at a time
            record.query_id, record.state = answer.id, answer.state
            record.state_at_s = time.time()
            self._waiting_for(message.header).texts = {answer.id: answer.text}
        self._pair(message.header)

    def _on_overlay(self, message: Image) -> None:
        self._video.write(_array(message), _stamp_ns(message.header) * 1e-9)

    def _record(self, header: Header) -> FrameRecord:
        stamp_ns = _stamp_ns(header)
        return self.records.setdefault(stamp_ns, FrameRecord(stamp_ns * 1e-9))

    def _waiting_for(self, header: Header) -> FrameParts:
        waiting = self._waiting.setdefault(_stamp_ns(header), FrameParts())
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
        return waiting

    def _pair(self, header: Header) -> None:
        """Measures and samples the frame once all of its parts are there."""
        stamp_ns = _stamp_ns(header)
        parts, record = self._waiting.get(stamp_ns), self.records[stamp_ns]
        if parts is None or parts.mask_HW is None or not parts.texts:
            return
        if self.scene is not None and parts.ids_HW is None:
            return
        if record.state == TRACKING and record.iou is None and self.scene is not None:
            (text,) = parts.texts.values()
            wanted = true_ids(self.scene, text, (stamp_ns - self._start_ns) * 1e-9)
            if wanted:
                record.iou = _iou(parts.mask_HW, np.isin(parts.ids_HW, wanted))
        if parts.frame_HW3 is not None:
            self._sample(record, parts)
            del self._waiting[stamp_ns]

    def _sample(self, record: FrameRecord, parts: FrameParts) -> None:
        """Keeps the first frame of every state, and one a second."""
        samples = self.samples.setdefault(record.query_id, [])
        new_state = record.state not in [s.record.state for s in samples]
        due = not samples or record.stamp_s - samples[-1].record.stamp_s >= SAMPLE_EVERY_S
        if new_state or due:
            samples.append(SheetFrame(record, parts.frame_HW3, parts.mask_HW))
        if len(samples) > SAMPLES_A_QUERY:
            del samples[len(samples) // 2]  # the first ones and the newest stay


class StampedVideo:
    """Pictures in an mp4 file at their own time: a late one stretches the one before."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.path, self._video = path, VideoWriter(path, rate_hz)
        self._stamp_s: float | None = None
        self._time_s = 0.0
        self.written = 0

    def write(self, bgr_HW3: np.ndarray, stamp_s: float) -> None:
        """A picture that is not newer is left out. Raises FileError where none can be written."""
        passed_s = 0.0 if self._stamp_s is None else stamp_s - self._stamp_s
        if self._stamp_s is not None and passed_s <= 0:
            return
        self._stamp_s = stamp_s
        self._time_s += min(passed_s, LONGEST_STILL_S)
        self._video.write(bgr_HW3, self._time_s)
        self.written += 1

    def close(self) -> bool:
        """Ends the file; whether it opens again with a picture in it."""
        self._video.close()
        if not self.written:
            return False
        video = cv2.VideoCapture(str(self.path))
        readable, _ = video.read()
        video.release()
        return readable


def true_ids(scene: Scene, text: str, t_s: float) -> list[int]:
    """The objects that `text` means: all through the scene, or else at `t_s`; [] for none."""
    return list(scene.answer(text) or scene.answer(text, t_s) or ())


def _iou(mask_HW: np.ndarray, truth_HW: np.ndarray) -> float:
    """Intersection over union; 1 where both are empty, a hidden object that was not claimed."""
    union = np.count_nonzero(mask_HW | truth_HW)
    return np.count_nonzero(mask_HW & truth_HW) / union if union else 1.0


def _stamp_ns(header: Header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def _array(message: Image) -> np.ndarray:
    """A view of the message's pixels, which are ours or the camera's: packed, 1 or 3 bytes."""
    shape = (message.height, message.width, message.step // message.width)
    return np.frombuffer(message.data, np.uint8).reshape(shape).squeeze()
