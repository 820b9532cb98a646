"""What may be wrong around the node, as long as it is: sentences for the log and /diagnostics."""

from collections.abc import Mapping
from typing import Any

from virst_model.answer import FAILED
from virst_ros.notices import CAMERA, GROUNDER, MODEL, Trouble
from virst_ros.silence import SILENT_AFTER_S


def faults(text: str) -> tuple[Trouble, ...]:
    """A transition that failed, which the log has already; none where `text` is empty."""
    return (Trouble("fault", text, ""),) if text else ()


def lossy(share: float, silent_s: float) -> Trouble:
    """Images are lost on their way to the node.

    Args:
        share: of the last images those that are missing; 0 where it is not worth a word.
        silent_s: seconds without an image.
    """
    text = (
        f"{share:.0%} of the images are lost before they come here: start the camera with the DDS "
        "profile config/fastdds.xml, or config/fastdds_large.xml where they have more than 10 MB"
    )
    is_flowing = silent_s <= SILENT_AFTER_S  # after that it is silence, and no loss
    over = "images come without losses again" if is_flowing else "no images come that can be lost"
    return Trouble("losses", text if share and is_flowing else "", over, CAMERA)


def overdue(session: Mapping[str, Any], limit_s: float) -> Trouble:
    """The language model takes longer than it may; `session` has the session's counters."""
    running_s = session.get("grounding_running_s", 0.0)
    text = (
        f"the language model has not answered for {running_s:.0f} s (grounding_limit_s is "
        f"{limit_s:g}): queries that have no answer yet get no masks"
    )
    over = "the language model is back"
    return Trouble("overdue", text if running_s > limit_s else "", over, GROUNDER)


def unprepared(configuring_s: float, limit_s: float) -> Trouble:
    """`configure` takes longer than an answer may, of which its warm-up makes one."""
    text = (
        f"configuring for {configuring_s:.0f} s: the model is loading or warming up, or hangs "
        f"(grounding_limit_s is {limit_s:g})"
    )
    over = "configuring is over"
    return Trouble("unprepared", text if configuring_s > limit_s else "", over, MODEL)


def unanswered(states: Mapping[int, str], reason: str) -> Trouble:
    """Queries by id whose state is failed; `reason` is the last error of the language model."""
    failed = ", ".join(str(id) for id, state in states.items() if state == FAILED)
    text = f"no answer to query {failed}: {reason or 'the language model is overdue'}"
    over = "no query is failed any more"
    return Trouble("unanswered", text if failed else "", over, GROUNDER)
