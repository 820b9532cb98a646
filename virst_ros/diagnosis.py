"""The node's state as a message on /diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from virst_ros.meter import resident_mib

if TYPE_CHECKING:
    from virst_ros.node import SegmentNode

# Counters that say that something is wrong with what comes in.
FAULTS = ("bad_frames", "failed_frames", "unstamped_frames", "size_changes", "stamp_jumps")
# A fault makes the state a warning for so long; so does an active node without images.
RECENT_S = 5.0


def report(node: SegmentNode) -> DiagnosticArray:
    """One status: how the node is, how fast, and what it follows."""
    level, message = _judge(node)
    status = DiagnosticStatus(
        level=level,
        name=node.get_fully_qualified_name().lstrip("/") + ": segmentation",
        message=message,
        hardware_id=node.tracker.stream.device if node.tracker else "",
        values=[KeyValue(key=key, value=value) for key, value in _values(node).items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = node.get_clock().now().to_msg()
    return array


def _judge(node: SegmentNode) -> tuple[bytes, str]:
    """The level and one line for people."""
    meter = node.meter
    if node.failure:
        return DiagnosticStatus.ERROR, node.failure
    recent = [name for name in FAULTS if meter.since_s(name) < RECENT_S]
    if recent:
        latest = min(recent, key=meter.since_s)
        return DiagnosticStatus.WARN, f"{latest}: {meter.remark(latest)}"
    if node.state_label == "active" and meter.since_s("received") > RECENT_S:
        return DiagnosticStatus.WARN, f"no images on {node.image_topic}"
    return DiagnosticStatus.OK, node.state_label


def _values(node: SegmentNode) -> dict[str, str]:
    meter, tracker = node.meter, node.tracker
    values = {
        "state": node.state_label,
        "image topic": node.image_topic,
        "received_frames": str(meter.counted("received")),
        "processed_frames": str(meter.counted("processed")),
        "published_masks": str(meter.counted("masks")),
        "dropped_frames": str(node.dropped_frames),
        **{name: str(meter.counted(name)) for name in FAULTS},
        "camera_hz": f"{meter.rate_hz('received'):.1f}",
        "processed_hz": f"{meter.rate_hz('processed'):.1f}",
        "masks_hz": f"{meter.rate_hz('masks'):.1f}",
        "memory_mib": f"{resident_mib():.0f}",
    }
    for name, key in (("latency", "latency_ms"), ("age", "frame_age_ms")):
        percentiles = meter.percentiles_ms(name) or (float("nan"),) * 3
        values |= {f"{key} p{p}": f"{ms:.1f}" for p, ms in zip((50, 95, 99), percentiles)}
    queries = node.book.queries
    values["queries"] = str(len(queries))
    states = tracker.states if tracker else {}
    for query in queries:
        values[f"query {query.id}"] = f"{states.get(query.id, 'waiting')}: {query.text}"
    if tracker is not None:
        values |= {f"session {k}": str(v) for k, v in tracker.stream.session.stats().items()}
    return values
