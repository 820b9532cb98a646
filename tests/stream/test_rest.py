"""Queries that rest and go on, confidence, options that change (docs/stream.md, rule 19)."""

from dataclasses import replace

import numpy as np
import pytest
from streams import ColourModel, bars, fifo_times, frame, query, run, session, states

from virst_model.answer import LOST, SEARCHING, TRACKING, StepResult

RED, BLUE = query(1, "red"), query(2, "blue")


def resting(a):
    return replace(a, enabled=False)


def followed(*queries, **options):
    """A stream that has followed the queries for 16 frames, and its model."""
    model = ColourModel()
    stream = session(model, **options)
    stream.set_queries(queries)
    run(stream, [frame(t, red=1, blue=5) for t in range(16)])
    return stream, model


def test_a_query_that_rests_costs_nothing_and_is_not_answered():
    stream, model = followed(RED)
    encoded, asked, tracked = len(model.encoded), len(model.grounded), len(model.replayed)

    stream.set_queries((resting(RED),))
    results = run(stream, [frame(t, red=1) for t in range(16, 40)], start=16)

    assert results == [None] * 24
    assert len(model.encoded) == encoded
    assert len(model.grounded) == asked
    assert len(model.replayed) == tracked


def test_other_queries_go_on_beside_one_that_rests():
    stream, model = followed(RED, BLUE)
    model.grounded.clear()

    stream.set_queries((resting(RED), BLUE))
    results = run(stream, [frame(t, red=1, blue=5) for t in range(16, 32)], start=16)

    assert {text for text, _ in model.grounded} == {"blue"}
    assert all([r.id for r in result.results] == [2] for result in results)
    assert all(bars(result.mask_HW) == [5] for result in results)
    assert set(np.unique(results[-1].labels_HW)) == {0, 2}


def test_a_query_that_is_enabled_again_is_caught_up_with_from_its_anchors_before_any_answer():
    stream, model = followed(RED, BLUE, grounding_delay_frames=12)
    stream.set_queries((resting(RED), BLUE))
    run(stream, [frame(t, red=1, blue=5) for t in range(16, 36)], start=16)
    anchors = stream.tracks[0].memory.anchor_times
    model.replayed.clear()

    stream.set_queries((RED, resting(BLUE)))
    answers = stream.stats()["groundings"]
    results = run(stream, [frame(t, red=3) for t in range(36, 46)], start=36)

    assert anchors and max(anchors) < 16
    assert stream.stats()["groundings"] == answers, "no answer has come meanwhile"
    assert states(results)[:2] == [SEARCHING] * 2 and states(results)[-1] == TRACKING
    # The newest eight cached frames, two beside each camera frame; those are sampled, too.
    assert model.replayed[:4] == [28, 29, 30, 31]
    assert model.replayed == sorted(model.replayed)
    assert bars(results[-1].mask_HW) == [3]


def test_while_it_rests_it_keeps_its_anchors_and_no_recent_frames():
    stream, _ = followed(RED)
    before = stream.tracks[0].memory.anchor_times

    stream.set_queries((resting(RED),))

    assert stream.tracks[0].memory.anchor_times == before != ()
    assert fifo_times(stream.tracks[0].memory) == ()


def test_enabled_again_it_is_asked_at_once():
    stream, model = followed(RED, reground_every=8)
    stream.set_queries((resting(RED),))
    run(stream, [frame(t, red=1) for t in range(16, 17)], start=16)
    model.grounded.clear()

    stream.set_queries((RED,))
    stream.step(frame(17, red=1), 17.0)

    assert [text for text, _ in model.grounded] == ["red"]


def test_an_answer_that_comes_while_it_rests_is_dropped():
    model = ColourModel()
    stream = session(model, grounding_delay_frames=3)
    stream.set_queries((RED, BLUE))
    run(stream, [frame(t, red=1, blue=5) for t in range(5)])

    stream.set_queries((resting(RED), BLUE))
    run(stream, [frame(t, red=1, blue=5) for t in range(5, 12)], start=5)

    assert stream.stats()["stale"] == 1
    assert stream.tracks[0].memory.anchor_times == ()


def test_a_query_that_was_lost_stays_lost_until_an_answer_sees_it():
    stream, _ = followed(RED)
    gone = run(stream, [frame(t) for t in range(16, 40)], start=16)
    assert states(gone)[-1] == LOST

    stream.set_queries((resting(RED),))
    run(stream, [frame(t) for t in range(40, 44)], start=40)
    stream.set_queries((RED,))
    absent = run(stream, [frame(t) for t in range(44, 48)], start=44)
    seen = run(stream, [frame(t, red=2) for t in range(48, 64)], start=48)

    assert set(states(absent)) == {LOST}
    assert states(seen)[-1] == TRACKING and bars(seen[-1].mask_HW) == [2]


def test_a_cut_while_it_rests_leaves_nothing_to_go_on_from():
    stream, _ = followed(RED)
    stream.set_queries((resting(RED),))
    stream.step(frame(16), 0.0)  # the stamp jumps back
    stream.set_queries((RED,))

    results = run(stream, [frame(17 + t, red=2) for t in range(3)], start=1)

    assert states(results)[0] == SEARCHING
    assert stream.tracks[0].memory.anchor_times in ((), (19,))
    assert not any(1 in bars(result.mask_HW) for result in results)


# Confidence.


def test_confidence_is_the_probability_of_the_pixels_own_label():
    stream, _ = followed(RED, BLUE)
    result = stream.step(frame(16, red=1, blue=5), 16.0)
    confidence_HW = result.confidence_HW()

    assert confidence_HW.dtype == np.uint8 and confidence_HW.shape == result.labels_HW.shape
    assert np.array_equal(confidence_HW > 0, result.labels_HW > 0)
    inside = confidence_HW[result.labels_HW > 0]
    assert inside.min() >= 128 and inside.max() == round(255 / (1 + np.exp(-10.0)))


def test_confidence_without_a_mask_is_zero_everywhere():
    stream, _ = followed(RED)
    result = stream.step(frame(16), 16.0)

    assert not result.labels_HW.any()
    assert not result.confidence_HW().any()


def test_confidence_of_logits_that_are_known():
    logits_HW = np.array([[-1.0, 0.5, 100.0]], np.float32)
    result = StepResult(
        *(0, 0.0, (), np.array([[0, 255, 255]], np.uint8), np.array([[0, 1, 2]], np.uint8)),
        logits_HW=logits_HW,
    )

    assert result.confidence_HW().tolist() == [[0, round(255 / (1 + np.exp(-0.5))), 255]]


# Options that change.


def test_the_period_of_the_window_may_change_in_the_stream():
    stream, _ = followed(RED)
    sampled = stream.stats()["sampled"]
    stream.change_options(window_period_s=4.0)
    run(stream, [frame(t, red=1) for t in range(16, 32)], start=16)

    assert stream.options.window_period_s == 4.0
    assert stream.stats()["sampled"] - sampled <= 5


@pytest.mark.parametrize(
    "changes", [{"window_size": 16}, {"window_period_s": -1.0}, {"grounding_limit_s": 0.0}]
)
def test_other_options_and_wrong_values_change_nothing(changes):
    stream, _ = followed(RED)
    before = stream.options

    with pytest.raises(ValueError, match=next(iter(changes))):
        stream.change_options(**changes)
    assert stream.options == before
