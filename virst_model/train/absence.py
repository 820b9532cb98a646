"""From which score on an object is there: chosen on held-out worlds when training ends.

0 stays the rule everywhere (`Decoded.object_score`); what is chosen is taken off the bias of the
head that gives the score.
"""

from collections.abc import Sequence
import itertools

import torch

from virst_model.evaluate.sight import SightRun, score_objects
from virst_model.model.virst import Virst

# Of the split that chooses; the split `test` is for the card.
_RUNS = tuple(
    SightRun(worlds, split="valid", first=1000, videos=24, window=8, per_kind=1)
    for worlds in ("scenes", "stories")
)


def settle_absence(model: Virst, runs: Sequence[SightRun] = _RUNS) -> float:
    """Moves the score so that 0 tells best what is there from what is not; what was taken off.

    Best is the mean of the shares that are right of the frames that show their target and of
    those that do not.
    """
    model.eval()
    pairs = [pair for run in runs for pair in score_objects(model, run)]
    threshold = best_threshold([s for s, there in pairs if there],
                               [s for s, there in pairs if not there])  # fmt: skip
    with torch.no_grad():
        model.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1].bias -= threshold
    return threshold


def best_threshold(there: Sequence[float], absent: Sequence[float]) -> float:
    """Between two of the scores, where they are told apart best; 0 where one kind is missing.

    Of several that are as good, the one nearest to 0.
    """
    if not there or not absent:
        return 0.0
    scores = sorted({*there, *absent})
    middles = [(a + b) / 2 for a, b in itertools.pairwise(scores)]

    def right(threshold: float) -> float:
        found = sum(score > threshold for score in there) / len(there)
        left_out = sum(score <= threshold for score in absent) / len(absent)
        return found + left_out

    return max([0.0, *middles], key=lambda t: (right(t), -abs(t)))
