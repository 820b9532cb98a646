"""From which score on an object is there."""

import itertools

import pytest
from streams import smallest
import torch

from virst_model.checkpoints.load import build, load
from virst_model.evaluate.sight import SightRun, score_objects
from virst_model.evaluate.synthetic import SyntheticRun, evaluate
from virst_model.train import absence
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

    threshold = settle_absence(model, [RUN], streams=[])
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


def bias_of(model) -> float:
    return model.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.item()


@pytest.mark.parametrize("best", [0, 1, 2])
def test_what_follows_a_stream_best_stays(monkeypatch, best):
    """Whichever of those that are tried it is, and the model is then the one that was tried."""
    model, seen, scores = build(smallest(), seed=6), [], itertools.count()
    before = bias_of(model)

    def follow(model, run):
        seen.append(bias_of(model))
        return {"rows": {"overall": {"J&F": 60.0 - abs(next(scores) - best)}}}

    monkeypatch.setattr(absence, "evaluate", follow)
    taken = settle_absence(model, [RUN], [SyntheticRun("scenes")])

    assert len(set(seen)) == 3
    assert bias_of(model) == seen[best] == pytest.approx(before - taken)


def test_a_packaged_model_that_calls_everything_absent_finds_its_objects_again():
    run = SyntheticRun("scenes", split="valid", videos=2, frames=12)
    model = load(dtype=torch.float32)
    with torch.no_grad():
        model.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1].bias -= 30
    blind = evaluate(model, run)["rows"]["overall"]["J&F"]

    settle_absence(model, [RUN], [run])

    assert evaluate(model, run)["rows"]["overall"]["J&F"] > blind + 30
