"""What the node publishes, as messages of a bag: made without ROS, by their definitions.

Those of virst_interfaces lie in `messages`, a link to the package's own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import functools
from pathlib import Path
from typing import Any

import numpy as np

from virst_model.answer import Query, QueryResult, StepResult
from virst_model.sources.bag import RAW

DEFINITIONS = Path(__file__).with_name("messages")
SEGMENTATIONS = "virst_interfaces/msg/SegmentationArray"
QUERIES = "virst_interfaces/msg/QueryArray"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
# rosbags has the messages of the core, and vision_msgs is none of them.
_VISION = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    LABEL_INFO: "std_msgs/Header header\nVisionClass[] class_map\nfloat32 threshold\n",
}
# Of the probability; from it on a pixel is in the mask.
THRESHOLD = 0.5


@functools.lru_cache
def types() -> Any:
    """rosbags' type store, with the messages of virst_interfaces and of label_info in it."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    definitions = dict(_VISION)
    for path in sorted(DEFINITIONS.glob("*.msg")):
        definitions[f"virst_interfaces/msg/{path.stem}"] = path.read_text(encoding="utf-8")
    parsed: dict[str, Any] = {}
    for name, text in definitions.items():
        parsed |= get_types_from_msg(text, name)
    store.register(parsed)
    return store


def image(array_HW: np.ndarray, header: Any) -> Any:
    """A mono8 image of uint8 (H, W); `header` is passed on as it is."""
    height, width = array_HW.shape
    return types().types[RAW](
        header=header,
        height=height,
        width=width,
        encoding="mono8",
        is_bigendian=0,
        step=width,
        data=np.ascontiguousarray(array_HW).reshape(-1),
    )


def segmentations(result: StepResult, header: Any) -> Any:
    """The answers of one frame; `header` is passed on as it is."""
    of_all = [_segmentation(answer) for answer in result.results]
    return types().types[SEGMENTATIONS](header=header, segmentations=of_all)


def query(asked: Query, state: str, since: Any, score: float, presence: float) -> Any:
    """One query and how it stands; `since` is a builtin_interfaces/Time."""
    return types().types["virst_interfaces/msg/Query"](
        id=asked.id,
        label=asked.label,
        text=asked.text,
        name=asked.name,
        enabled=asked.enabled,
        state=state,
        since=since,
        score=score,
        presence=presence,
    )


def queries(lines: Iterable[Any], stamp: Any) -> Any:
    """All queries, of `query`; `stamp` is a builtin_interfaces/Time."""
    return types().types[QUERIES](stamp=stamp, queries=list(lines))


def label_info(asked: Sequence[Query], header: Any) -> Any:
    """The names of the labels: one entry a query, none for 0."""
    entry = types().types["vision_msgs/msg/VisionClass"]
    names = [entry(class_id=query.label, class_name=query.name) for query in asked]
    return types().types[LABEL_INFO](header=header, class_map=names, threshold=THRESHOLD)


def stamp(time_ns: int) -> Any:
    """A builtin_interfaces/Time."""
    kind = types().types["builtin_interfaces/msg/Time"]
    return kind(sec=time_ns // 10**9, nanosec=time_ns % 10**9)


def header(time_ns: int) -> Any:
    """A std_msgs/Header without a frame_id."""
    return types().types["std_msgs/msg/Header"](stamp=stamp(time_ns), frame_id="")


def _segmentation(answer: QueryResult) -> Any:
    x, y, width, height = answer.box
    box = types().types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=x, y_offset=y, height=height, width=width, do_rectify=False
    )
    return types().types["virst_interfaces/msg/Segmentation"](
        id=answer.id,
        label=answer.label,
        text=answer.text,
        state=answer.state,
        score=answer.score,
        presence=answer.presence,
        box=box,
        area=answer.area,
    )
