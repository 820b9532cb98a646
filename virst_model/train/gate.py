"""Whether a model that trains reads the video, looked at now and then on a few held-out scenes."""

from virst_model.evaluate.sight import ALL, SightRun, measure
from virst_model.model.virst import Virst

# Of the split that chooses; the split `test` is for the card.
_RUN = SightRun(split="valid", first=0, videos=8, per_kind=1)
_KINDS = (ALL, "motion")


def look(model: Virst) -> dict[str, float]:
    """IoU in percent of raw masks with the video's own clip tokens, and the margin over others.

    Of all sentences and of those about a motion, as the log names them. The model goes on training
    afterwards.
    """
    model.eval()
    rows = measure(model, _RUN)
    model.train()
    return {
        f"sight/{kind} {name}": rows[kind][name]["raw"]
        for kind in _KINDS
        if kind in rows
        for name in ("own", "margin")
    }
