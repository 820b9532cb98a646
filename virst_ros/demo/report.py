"""The demo's report: numbers a query, a table and a contact sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import importlib.metadata
import os
import platform
from typing import Any

import cv2
import numpy as np

from virst_model import processor_name
from virst_model.answer import FAILED, LOST, SEARCHING, TRACKING
from virst_model.overlay import draw_outline
from virst_ros.demo.recorder import FrameRecord, SheetFrame

# A query that the scene can answer has to be followed at least so well.
LEAST_IOU = 0.5
CELL_WIDTH = 320
ROWS = 4
STRIP = 30
STATE_COLOURS = {  # BGR
    SEARCHING: (0, 190, 255),
    TRACKING: (90, 220, 90),
    LOST: (80, 80, 255),
    FAILED: (80, 80, 255),
}
WHITE, GREY, BACK = (240, 240, 240), (170, 170, 170), (32, 30, 28)
# Magenta: none of the scene's colours.
TINT = (208, 32, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Span:
    """The time of one query, of this machine's clock.

    Attributes:
        answerable: whether the scene has what the query asks for; None for a video.
    """

    query: str
    query_id: int
    start_s: float
    end_s: float
    answerable: bool | None


def measure(span: Span, records: Sequence[FrameRecord]) -> dict[str, Any]:
    """The report of one query, over the frames whose stamps are in its span.

    Returns:
        Keys as in report.json: numbers of frames and masks, rates a second, latency_ms p50/p95/p99
        from stamp to mask (None without masks), first_mask_s from the query to the first tracked
        answer (None without), mean_iou of tracked frames against the truth (None where the scene
        has no answer), and dropped_frames.
    """
    frames = [r for r in records if span.start_s <= r.stamp_s < span.end_s]
    masks = [r for r in frames if r.mask_at_s is not None and r.query_id == span.query_id]
    tracking = [r for r in masks if r.state == TRACKING]
    seconds = span.end_s - span.start_s
    # The first answer may be on a frame that was taken before the query.
    tracked_s = [
        r.state_at_s for r in records if r.query_id == span.query_id and r.state == TRACKING
    ]
    first_s = min(tracked_s) - span.start_s if tracked_s else None
    ious = [r.iou for r in tracking if r.iou is not None] if span.answerable else []
    return {
        "query": span.query,
        "query_id": span.query_id,
        "seconds": round(seconds, 2),
        "frames_published": len(frames),
        "masks_received": len(masks),
        "mask_fps": round(len(masks) / seconds, 2),
        "tracking_masks": len(tracking),
        "tracking_fps": round(len(tracking) / max(seconds - (first_s or 0.0), 1e-3), 2),
        "latency_ms": _percentiles([(r.mask_at_s - r.stamp_s) * 1e3 for r in masks]),
        "first_mask_s": None if first_s is None else round(first_s, 3),
        "mean_iou": round(float(np.mean(ious)), 4) if ious else None,
        "answerable": span.answerable,
        "dropped_frames": len(frames) - len(masks),
    }


def faults(measured: Sequence[dict[str, Any]]) -> list[str]:
    """What makes the demo fail; empty where nothing does."""
    lines = []
    for query in measured:
        name, iou = repr(query["query"]), query["mean_iou"]
        if not query["masks_received"]:
            lines.append(f"no mask came for {name}")
        elif query["answerable"] and (iou or 0.0) < LEAST_IOU:
            lines.append(f"mean_iou of {name} is {iou}, below {LEAST_IOU}")
    return lines


def machine() -> dict[str, Any]:
    """What the numbers were measured on: system, processor, cores, load, versions."""
    versions = {}
    for package in ("torch", "numpy", "opencv-python-headless"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "ros_distro": os.environ.get("ROS_DISTRO"),
        **versions,
    }


@dataclass(frozen=True)
class Column:
    """A figure of the table.

    Attributes:
        cell: what stands there, from a report of `measure`.
        meaning: a line for people.
    """

    name: str
    cell: Callable[[dict[str, Any]], str]
    meaning: str


COLUMNS = (
    Column("query", lambda m: m["query"][:32], "what was asked for"),
    Column(
        "frames",
        lambda m: str(m["frames_published"]),
        "camera frames while the query stood, as the recorder saw them",
    ),
    Column("masks", lambda m: str(m["masks_received"]), "those of them that a mask came for"),
    Column("fps", lambda m: f"{m['mask_fps']:.1f}", "masks a second, empty ones too"),
    Column(
        "tracking fps",
        lambda m: f"{m['tracking_fps']:.1f}",
        "masks a second with the state `tracking`, from the first one on",
    ),
    Column(
        "latency p50/p95 ms",
        lambda m: (
            "{p50:.0f} / {p95:.0f}".format(**m["latency_ms"]) if m["masks_received"] else "-"
        ),
        "from a frame's stamp to its mask: half of them, and 19 of 20, are faster",
    ),
    Column(
        "first mask s",
        lambda m: _or_dash(m["first_mask_s"]),
        "from the service's answer to the first mask with the state `tracking`",
    ),
    Column(
        "mean IoU",
        lambda m: _or_dash(m["mean_iou"]),
        "overlap of those masks with the truth, 0 to 1; - where there is none, as of a video",
    ),
    Column("dropped", lambda m: str(m["dropped_frames"]), "camera frames without a mask"),
)
# What the bar shows while a query stands.
BAR = "in the bar: seconds, the newest mask's state, and masks a second of the last five seconds"


def text_table(measured: Sequence[dict[str, Any]]) -> str:
    """A few lines for a terminal, a row a query; `measured` as `measure` returns it."""
    names = [column.name for column in COLUMNS]
    rows = [names, *([column.cell(m) for column in COLUMNS] for m in measured)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows
    )


def legend() -> str:
    """A line for each figure of the table, and one for those of the bar."""
    width = max(len(column.name) for column in COLUMNS)
    lines = [f"{column.name:{width}}  {column.meaning}" for column in COLUMNS]
    return "\n".join([*lines, BAR])


def contact_sheet(spans: Sequence[Span], samples: Sequence[Sequence[SheetFrame]]) -> np.ndarray:
    """A column a query, from top to bottom in time: camera frame and mask, with the state; BGR."""
    columns = []
    for span, all_samples in zip(spans, samples):
        cells = [_cell(span, sample) for sample in choose(all_samples)]
        columns.append(_column(span, cells))
    height = max(column.shape[0] for column in columns)
    padded = [_pad(column, height) for column in columns]
    return np.concatenate(padded, axis=1)


def choose(samples: Sequence[SheetFrame], count: int = ROWS) -> list[SheetFrame]:
    """The first of every state, filled up with samples spread over the rest; in order of time."""
    states: dict[str, SheetFrame] = {}
    for sample in samples:
        states.setdefault(sample.record.state, sample)
    chosen = list(states.values())[:count]
    rest = [sample for sample in samples if sample not in chosen]
    missing = min(count - len(chosen), len(rest))
    if missing > 0:
        places = np.linspace(0, len(rest) - 1, missing + 1).round().astype(int)[1:]
        chosen += [rest[place] for place in dict.fromkeys(places.tolist())]
    return sorted(chosen, key=lambda sample: sample.record.stamp_s)


def _cell(span: Span, sample: SheetFrame) -> np.ndarray:
    """The strip of words, and below it the frame with its outlined mask beside the mask alone."""
    frame_HW3 = cv2.cvtColor(sample.frame_HW3, cv2.COLOR_RGB2BGR)
    mask = sample.mask_HW.astype(np.uint8)
    size = CELL_WIDTH, round(CELL_WIDTH * mask.shape[0] / mask.shape[1])
    tinted_HW3 = np.where(mask[..., None] > 0, frame_HW3 // 2 + np.uint8(TINT) // 2, frame_HW3)
    draw_outline(tinted_HW3, mask, TINT)
    white_HW3 = cv2.cvtColor(mask * np.uint8(255), cv2.COLOR_GRAY2BGR)
    panels = [
        cv2.resize(panel, size, interpolation=cv2.INTER_AREA)
        for panel in (frame_HW3, tinted_HW3, white_HW3)
    ]
    panels[-1][:, :1] = GREY  # a border: a mask is black where it touches its neighbour
    strip = np.full((STRIP, 3 * CELL_WIDTH, 3), BACK, np.uint8)
    record = sample.record
    _write(strip, f"{record.stamp_s - span.start_s:+.1f} s", 8, GREY)
    _write(strip, record.state, 100, STATE_COLOURS.get(record.state, WHITE))
    if record.iou is not None and span.answerable:
        _write(strip, f"IoU {record.iou:.2f}", 240, WHITE)
    if record.mask_at_s is not None:
        _write(strip, f"{(record.mask_at_s - record.stamp_s) * 1e3:.0f} ms", 350, GREY)
    return np.concatenate([strip, np.concatenate(panels, axis=1)])


def _column(span: Span, cells: Sequence[np.ndarray]) -> np.ndarray:
    head = np.full((2 * STRIP, 3 * CELL_WIDTH, 3), BACK, np.uint8)
    text = span.query if len(span.query) <= 46 else span.query[:43] + "..."
    _write(head, f'"{text}"', 8, WHITE, scale=0.9, bottom=30)
    for index, title in enumerate(("camera", "answer", "mask")):
        _write(head, title, index * CELL_WIDTH + 8, GREY, bottom=2 * STRIP - 6)
    return np.concatenate([head, *cells])


def _pad(image_HW3: np.ndarray, height: int) -> np.ndarray:
    """With a margin to the right."""
    below, right = height - image_HW3.shape[0], 12
    return cv2.copyMakeBorder(image_HW3, 0, below, 0, right, cv2.BORDER_CONSTANT, value=BACK)


def _write(
    image_HW3: np.ndarray,
    text: str,
    left: int,
    colour,
    scale: float = 0.6,
    bottom: int = STRIP - 9,
) -> None:
    text = text.encode("ascii", "replace").decode()  # the font draws ASCII only
    cv2.putText(image_HW3, text, (left, bottom), FONT, scale, colour, 1, cv2.LINE_AA)


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    names = ("p50", "p95", "p99")
    if not values:
        return dict.fromkeys(names)
    return {n: round(float(v), 1) for n, v in zip(names, np.percentile(values, (50, 95, 99)))}


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
