"""What may be wrong around the node, as long as it is: sentences for the log and /diagnostics."""

from collections.abc import Mapping
from typing import Any

from virst_model.answer import FAILED
from virst_ros.notices import Trouble


def overdue(session: Mapping[str, Any], limit_s: float) -> Trouble:
    """The language model takes longer than it may; `session` has the session's counters."""
    running_s = session.get("grounding_running_s", 0.0)
    text = (
        f"the language model has not answered for {running_s:.0f} s (grounding_limit_s is "
        f"{limit_s:g}): queries that have no answer yet get no masks"
    )
    return Trouble("overdue", text if running_s > limit_s else "", "the language model is back")


def unprepared(configuring_s: float, limit_s: float) -> Trouble:
    """`configure` takes longer than an answer may, of which its warm-up makes one."""
    text = (
        f"configuring for {configuring_s:.0f} s: the model is loading or warming up, or hangs "
        f"(grounding_limit_s is {limit_s:g})"
    )
    return Trouble("unprepared", text if configuring_s > limit_s else "", "configuring is over")


def unanswered(states: Mapping[int, str], reason: str) -> Trouble:
    """Queries by id whose state is failed; `reason` is the last error of the language model."""
    failed = ", ".join(str(id) for id, state in states.items() if state == FAILED)
    text = f"no answer to query {failed}: {reason or 'the language model is overdue'}"
    return Trouble("unanswered", text if failed else "", "no query is failed any more")
