"""The node's state as a message on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from virst_model.answer import Query
from virst_ros.meter import Meter, resident_mib
from virst_ros.text import shown

# Counters that say that something is wrong with what comes in.
FAULTS = (
    "bad_frames",
    "failed_frames",
    "failed_groundings",
    "unstamped_frames",
    "still_stamps",
    "size_changes",
    "stamp_jumps",
    "mixed_frame_ids",
)
# Times and their names: of the tracker at a frame, from arrival to answer, from stamp to answer.
TIMES = {"processing": "processing_ms", "latency": "latency_ms", "age": "frame_age_ms"}
# A fault makes the state a warning for so long.
RECENT_S = 5.0
# Characters of one text; a query has up to a thousand, and its state.
LONGEST = 1100


@dataclass(frozen=True)
class Snapshot:
    """A node at one moment.

    Attributes:
        state: of the lifecycle.
        failure: why it cannot go on; empty where it can.
        states: query id -> searching, tracking, lost or failed, on the newest frame.
        session: the session's counters.
        warnings: what is wrong around the node, as long as it is.
    """

    name: str
    state: str
    image_topic: str
    meter: Meter
    dropped_frames: int
    failure: str = ""
    device: str = ""
    queries: tuple[Query, ...] = ()
    states: Mapping[int, str] = field(default_factory=dict)
    session: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def report(node: Snapshot) -> DiagnosticArray:
    """One status: how the node is, how fast, what it follows. Its stamp is left to the caller."""
    level, message = _judge(node)
    status = DiagnosticStatus(
        level=level,
        name=f"{node.name.lstrip('/')}: segmentation",
        message=shown(message, LONGEST),
        hardware_id=node.device,
        values=[KeyValue(key=k, value=shown(v, LONGEST)) for k, v in _values(node).items()],
    )
    return DiagnosticArray(status=[status])


def _judge(node: Snapshot) -> tuple[bytes, str]:
    """The level and one line for people."""
    meter = node.meter
    if node.failure:
        return DiagnosticStatus.ERROR, node.failure
    recent = [name for name in FAULTS if meter.since_s(name) < RECENT_S]
    if recent:
        latest = min(recent, key=meter.since_s)
        return DiagnosticStatus.WARN, "; ".join(
            (f"{latest}: {meter.remark(latest)}", *node.warnings)
        )
    if node.warnings:
        return DiagnosticStatus.WARN, "; ".join(node.warnings)
    return DiagnosticStatus.OK, node.state


def _values(node: Snapshot) -> dict[str, str]:
    meter = node.meter
    values = {
        "state": node.state,
        "image topic": node.image_topic,
        "received_frames": str(meter.counted("received")),
        "processed_frames": str(meter.counted("processed")),
        "published_masks": str(meter.counted("masks")),
        "lost_frames": str(meter.counted("lost_frames")),
        "dropped_frames": str(node.dropped_frames),
        "late_frames": str(meter.counted("late_frames")),
        **{name: str(meter.counted(name)) for name in FAULTS},
        "camera_hz": f"{meter.rate_hz('received'):.1f}",
        "processed_hz": f"{meter.rate_hz('processed'):.1f}",
        "masks_hz": f"{meter.rate_hz('masks'):.1f}",
        "memory_mib": f"{resident_mib():.0f}",
    }
    for name, key in TIMES.items():
        percentiles = meter.percentiles_ms(name) or (float("nan"),) * 3
        values |= {f"{key} p{p}": f"{ms:.1f}" for p, ms in zip((50, 95, 99), percentiles)}
    values["queries"] = str(len(node.queries))
    # Of a frame's time, so that people know what one more would take.
    values["query_cost_ms"] = f"{node.session.get('query_ms_p50', 0.0):.1f}"
    for query in node.queries:
        values[f"query {query.id}"] = f"{node.states.get(query.id, 'waiting')}: {query.text}"
    return values | {f"session {name}": str(value) for name, value in node.session.items()}
