"""From which score on an object is there."""

import pytest
from streams import smallest
import torch

from virst_model.checkpoints.load import build
from virst_model.evaluate.sight import SightRun, score_objects
from virst_model.train.absence import best_threshold, settle_absence

RUN = SightRun(split="valid", videos=3, per_kind=1, window=8, height=48, width=64)


@pytest.mark.parametrize(
    ("there", "absent", "low", "high"),
    [
        ([3.0, 4.0, 5.0], [0.5, 1.0, 2.0], 2.0, 3.0),
        ([-1.0, 4.0, 5.0], [-3.0, -2.0], -2.0, -1.0),
        ([1.0, 2.0], [-1.0], -1.0, 1.0),
    ],
)
def test_the_threshold_lies_between_what_is_there_and_what_is_not(there, absent, low, high):
    assert low < best_threshold(there, absent) < high


def test_what_is_told_apart_already_stays():
    assert best_threshold([1.0, 2.0], [-1.0, -0.5]) == 0.0


def test_one_kind_alone_says_nothing():
    assert best_threshold([1.0], []) == best_threshold([], [1.0]) == 0.0


def test_both_kinds_count_alike_however_many_there_are():
    """One thing that is there is worth as much as a hundred that are not."""
    assert best_threshold([1.0], [0.5] * 100 + [2.0]) < 1.0


def test_settled_scores_are_the_same_less_the_threshold():
    model = build(smallest(), seed=6)
    before = list(score_objects(model, RUN))

    threshold = settle_absence(model, [RUN])
    after = list(score_objects(model, RUN))

    assert {there for _, there in before} == {True, False}
    for (old, seen), (new, again) in zip(before, after, strict=True):
        assert seen == again and new == pytest.approx(old - threshold, abs=1e-4)

    def right(pairs):
        there = [s > 0 for s, seen in pairs if seen]
        absent = [s <= 0 for s, seen in pairs if not seen]
        return sum(there) / len(there) + sum(absent) / len(absent)

    assert right(after) >= right(before)
    assert torch.isfinite(torch.tensor(threshold))
