"""From which score on an object is there: chosen on held-out worlds when training ends.

0 stays the rule everywhere (`Decoded.object_score`); what is chosen is taken off the bias of the
head that gives the score.
"""

from collections.abc import Sequence
import itertools

import numpy as np

from virst_model.evaluate.sight import SightRun, score_objects
from virst_model.evaluate.synthetic import TRIAL_KINDS, SyntheticRun, evaluate
from virst_model.model.virst import Virst

# Of the split that chooses; the split `test` is for the card.
_WORLDS = ("scenes", "stories")
_RUNS = tuple(
    SightRun(worlds, split="valid", first=1000, videos=24, window=8, per_kind=1)
    for worlds in _WORLDS
)
# Of the camera's world, too, where small things are the first that are called absent.
_STREAMS = tuple(
    SyntheticRun(worlds, split="valid", first=2000, videos=12, kinds=TRIAL_KINDS.get(worlds, ()))
    for worlds in (*_WORLDS, "light", "small")
)
# How much less than what tells single frames apart best is tried.
_LESS = (0.0, 1.0, 2.0)


def settle_absence(
    model: Virst,
    runs: Sequence[SightRun] = _RUNS,
    streams: Sequence[SyntheticRun] = _STREAMS,
) -> float:
    """Moves the score so that streams are followed best with 0; what was taken off.

    Tried are the threshold that tells frames best apart, by the mean of the shares that are right
    of those that show their target and of those that do not, and lower ones: what a stream calls
    absent it does not follow either, which costs more than the frame. The largest mean J&F over
    the `streams` decides; without streams the frames do.
    """
    model.eval()
    pairs = [pair for run in runs for pair in score_objects(model, run)]
    threshold = best_threshold([s for s, there in pairs if there],
                               [s for s, there in pairs if not there])  # fmt: skip
    bias = model.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data
    before = bias.clone()

    def followed(taken: float) -> float:
        bias.copy_(before - taken)
        rows = [evaluate(model, run)["rows"] for run in streams]
        return float(np.mean([row["overall"]["J&F"] for row in rows]))

    best = max((threshold - less for less in _LESS), key=followed) if streams else threshold
    bias.copy_(before - best)
    return best


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
