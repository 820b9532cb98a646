"""The node's state as a message on /diagnostics: a status for each task, and for each query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from virst_model.answer import FAILED, Query
from virst_ros.lifecycle import ACTIVE
from virst_ros.meter import Meter, resident_mib
from virst_ros.notices import CAMERA, GROUNDER, MODEL, NODE, Trouble
from virst_ros.text import shown

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
# Counters that say that something is wrong with what comes in, and the task that it concerns.
TASK_OF = {
    "bad_frames": CAMERA,
    "failed_frames": MODEL,
    "failed_groundings": GROUNDER,
    "unstamped_frames": CAMERA,
    "still_stamps": CAMERA,
    "size_changes": CAMERA,
    "stamp_jumps": CAMERA,
    "mixed_frame_ids": CAMERA,
    "refused_queries": NODE,
    "incompatible_qos": NODE,
}
FAULTS = tuple(TASK_OF)
# Times and their names: of the tracker at a frame, from arrival to answer, from stamp to answer.
TIMES = {"processing": "processing_ms", "latency": "latency_ms", "age": "frame_age_ms"}
# Of the session's counters and times those of the language model; the others are the model's.
OF_THE_GROUNDER = ("sampled", "groundings", "failed_groundings", "stale", "contradictions")
# A fault makes the state a warning for so long.
RECENT_S = 5.0
# Characters of one text; a query has up to a thousand, and its state. Of a name less will do.
LONGEST, LONGEST_NAME = 1100, 100


@dataclass(frozen=True)
class Snapshot:
    """A node at one moment.

    Attributes:
        state: of the lifecycle.
        failure: why it cannot go on; empty where it can.
        states: query id -> searching, tracking, lost or failed, on the newest frame.
        session: the session's counters.
        troubles: what is wrong around the node, as long as it is; each has a text.
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
    troubles: tuple[Trouble, ...] = ()


def report(node: Snapshot) -> DiagnosticArray:
    """A status for each task, then one for each query. Its stamp is left to the caller.

    OK; WARN for what is wrong and goes on; STALE for what waits for images that do not come; ERROR
    where the node cannot go on. Values are numbers or texts, without units: names have those.
    """
    is_listening = node.state == ACTIVE
    statuses = [
        _status(node, NODE, node.state, _node_values(node)),
        _status(node, CAMERA, "listening" if is_listening else "not listening", _camera(node)),
        _status(node, GROUNDER, "ready" if node.device else "not loaded", _grounder(node)),
        _status(node, MODEL, "ready" if node.device else "not loaded", _model(node)),
    ]
    return DiagnosticArray(status=[*statuses, *(_query(node, query) for query in node.queries)])


def _status(node: Snapshot, task: str, well: str, values: Mapping[str, str]) -> DiagnosticStatus:
    """`well` is the message where nothing is wrong."""
    level, message = _judge(node, task)
    faults = {name: str(node.meter.counted(name)) for name in FAULTS if TASK_OF[name] == task}
    return _made(node, task, level, message or well, {**values, **faults})


def _made(
    node: Snapshot, task: str, level: bytes, message: str, values: Mapping[str, str]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=f"{node.name.lstrip('/')}: {task}",
        message=shown(message, LONGEST),
        hardware_id=node.device,
        values=[KeyValue(key=key, value=shown(text, LONGEST)) for key, text in values.items()],
    )


def _judge(node: Snapshot, task: str) -> tuple[bytes, str]:
    """The level and one line for people, which is empty where nothing is wrong."""
    if node.failure and task == NODE:
        return ERROR, node.failure
    meter = node.meter
    recent = [n for n in FAULTS if TASK_OF[n] == task and meter.since_s(n) < RECENT_S]
    texts = []
    if recent:
        latest = min(recent, key=meter.since_s)
        texts.append(f"{latest}: {meter.remark(latest)}")
    troubles = [trouble for trouble in node.troubles if trouble.task == task]
    texts += [trouble.text for trouble in troubles]
    is_stale = any(trouble.stale for trouble in troubles)
    return STALE if is_stale else WARN if texts else OK, "; ".join(texts)


def _node_values(node: Snapshot) -> dict[str, str]:
    values = {"state": node.state, "queries": str(len(node.queries))}
    return values | {"memory_mib": f"{resident_mib():.0f}"}


def _camera(node: Snapshot) -> dict[str, str]:
    meter = node.meter
    return {
        "image topic": node.image_topic,
        "received_frames": str(meter.counted("received")),
        "lost_frames": str(meter.counted("lost_frames")),
        "dropped_frames": str(node.dropped_frames),
        "late_frames": str(meter.counted("late_frames")),
        "camera_hz": f"{meter.rate_hz('received'):.1f}",
    }


def _grounder(node: Snapshot) -> dict[str, str]:
    return _session(node, of_the_grounder=True)


def _model(node: Snapshot) -> dict[str, str]:
    meter = node.meter
    values = {
        "processed_frames": str(meter.counted("processed")),
        "published_masks": str(meter.counted("masks")),
        "processed_hz": f"{meter.rate_hz('processed'):.1f}",
        "masks_hz": f"{meter.rate_hz('masks'):.1f}",
    }
    for name, key in TIMES.items():
        percentiles = meter.percentiles_ms(name) or (float("nan"),) * 3
        values |= {f"{key} p{p}": f"{ms:.1f}" for p, ms in zip((50, 95, 99), percentiles)}
    # Of a frame's time, so that people know what one more would take.
    values["query_cost_ms"] = f"{node.session.get('query_ms_p50', 0.0):.1f}"
    return values | _session(node, of_the_grounder=False)


def _session(node: Snapshot, of_the_grounder: bool) -> dict[str, str]:
    return {
        f"session {name}": f"{value:.1f}" if isinstance(value, float) else str(value)
        for name, value in node.session.items()
        if (name in OF_THE_GROUNDER or name.startswith("grounding_")) == of_the_grounder
    }


def _query(node: Snapshot, query: Query) -> DiagnosticStatus:
    state = node.states.get(query.id, "waiting") if query.enabled else "disabled"
    is_stale = query.enabled and any(trouble.stale for trouble in node.troubles)
    level = STALE if is_stale else WARN if state == FAILED else OK
    values = {
        "query state": state,
        "label": str(query.label),
        "name": shown(query.name, LONGEST_NAME),
        "text": query.text,
    }
    return _made(node, f"query {query.id}", level, state, values)
