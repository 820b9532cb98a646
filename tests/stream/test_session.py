"""The session: rules 4 and 11 to 14 of docs/stream.md, on a model that sees colours."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from streams import (
    CELLS,
    SIZE,
    ColourModel,
    bars,
    fifo_times,
    frame,
    query,
    run,
    session,
    states,
)
import torch

from virst_model import SessionOptions
from virst_model.answer import LOST, SEARCHING, TRACKING
from virst_model.model.features import Decoded
from virst_model.stream.compose import compose, read
from virst_model.stream.grounder import STREAM_STRATEGIES, StreamError
from virst_model.stream.track import Pace


def test_without_a_query_there_is_no_result_and_nothing_is_encoded():
    model = ColourModel()
    stream = session(model)

    assert run(stream, [frame(t) for t in range(6)]) == [None] * 6
    assert model.encoded == []


def test_idle_frames_are_encoded_when_asked_for_and_only_sampled_ones():
    model = ColourModel()
    stream = session(model, encode_when_idle=True, window_period_s=2.0)

    run(stream, [frame(t) for t in range(6)])

    assert model.encoded == [0, 2, 4]


# Rule 4.


def test_groundings_come_at_4_8_16_24_and_32_frames_and_then_regularly():
    model = ColourModel()
    stream = session(model, window_size=32, reground_every=8)
    stream.set_queries((query(1),))

    run(stream, [frame(t, red=1) for t in range(56)])

    newest = [times[-1] for _, times in model.grounded]
    assert newest == [3, 7, 15, 23, 31, 39, 47, 55]
    assert [len(times) for _, times in model.grounded] == [8, 8, 16, 24, 32, 32, 32, 32]


def test_first_answer_comes_with_one_clip_padded_with_its_newest_frame():
    model = ColourModel()
    stream = session(model)
    stream.set_queries((query(1),))

    results = run(stream, [frame(t, red=t) for t in range(4)])

    assert model.grounded == [("red", [0, 1, 2, 3, 3, 3, 3, 3])]
    assert model.decoded == [3]  # with fewer than 8 frames the one anchor is the newest
    assert states(results) == [SEARCHING] * 3 + [TRACKING]
    assert bars(results[3].results[0].mask_HW) == [3]


def strategic(strategy):
    """A model whose config names this strategy."""
    model = ColourModel()
    behaviour = replace(model.config.behaviour, anchors=strategy)
    model.config = replace(model.config, behaviour=behaviour)
    return model


def anchors_of_windows(strategy, windows=1):
    """Times of the anchors of each of the first windows of 16 frames, 4 frames apart."""
    model, anchors = strategic(strategy), []
    with session(model, window_size=16, reground_every=4, pace=Pace(anchors=16)) as stream:
        stream.set_queries((query(1),))
        for t in range(12 + 4 * windows):
            model.decoded.clear()
            stream.step(frame(t, red=1), float(t))
            if model.decoded and t >= 15:
                anchors.append(sorted(model.decoded))
    return anchors


@pytest.mark.parametrize(
    ("strategy", "times"),
    [("dynamic", [0, 5, 10, 15]), ("first", [0]), ("uniform3", [0, 8, 15])],
)
def test_anchors_of_a_window_are_those_of_the_models_strategy(strategy, times):
    first, second = anchors_of_windows(strategy, windows=2)

    assert first == times
    assert second == [4 + t for t in times]


def test_random_anchors_are_drawn_anew_in_each_window_and_alike_in_each_run():
    drawn = anchors_of_windows("random3", windows=6)

    assert drawn == anchors_of_windows("random3", windows=6)
    assert [len(set(times)) for times in drawn] == [3] * 6
    assert all(4 * i <= times[0] and times[-1] < 16 + 4 * i for i, times in enumerate(drawn))
    assert len({tuple(t - 4 * i for t in times) for i, times in enumerate(drawn)}) > 1


@pytest.mark.parametrize("strategy", STREAM_STRATEGIES)
def test_whatever_the_strategy_the_first_answer_has_the_newest_frame_as_its_anchor(strategy):
    model = strategic(strategy)
    stream = session(model)
    stream.set_queries((query(1),))

    results = run(stream, [frame(t, red=t) for t in range(4)])

    assert model.decoded == [3]
    assert bars(results[3].results[0].mask_HW) == [3]


def test_anchors_that_a_stream_cannot_have_are_refused_at_once():
    with pytest.raises(StreamError, match=r"guided.*dynamic, first, random3, uniform3") as info:
        session(strategic("guided"))
    assert "\n" not in str(info.value)


def test_a_new_query_starts_on_the_frames_that_are_already_there():
    model = ColourModel()
    stream = session(model, window_size=32, encode_when_idle=True)
    run(stream, [frame(t, red=1) for t in range(22)])

    stream.set_queries((query(1),))
    stream.step(frame(22, red=1), 22.0)

    assert [len(times) for _, times in model.grounded] == [20]


def test_a_new_query_starts_on_images_that_were_not_encoded_before():
    model = ColourModel()
    stream = session(model, window_size=32)
    run(stream, [frame(t, red=1) for t in range(20)])

    stream.set_queries((query(1),))
    results = run(stream, [frame(t, red=1) for t in range(20, 25)], start=20)

    # Frame 20 itself and the four newest images; more of them with each further frame.
    assert model.encoded[:5] == [20, 19, 18, 17, 16]
    assert model.grounded[0][1] == [16, 17, 18, 19, 19, 19, 19, 19]
    assert states(results) == [TRACKING] * 5
    assert sorted(model.encoded) == list(range(25))


def test_each_clip_is_encoded_once_for_all_groundings_and_queries():
    model = ColourModel()
    stream = session(model, window_size=32)
    stream.set_queries((query(1, "red"), query(2, "blue")))

    run(stream, [frame(t, red=1, blue=3) for t in range(64)])

    assert model.clips == 64 / 4 + 2  # and the padding of each first grounding


# Rule 11 (see also test_session_threads.py).


def test_the_answer_for_a_query_that_is_gone_is_dropped_unread():
    model = ColourModel()
    stream = session(model, grounding_delay_frames=3)
    stream.set_queries((query(1, "red"),))
    run(stream, [frame(t, red=1, blue=5) for t in range(5)])

    stream.set_queries((query(2, "blue"),))
    results = run(stream, [frame(t, red=1, blue=5) for t in range(5, 14)], start=5)

    assert stream.stats()["stale"] == 1
    assert [text for text, _ in model.grounded] == ["blue", "blue"]
    assert not any(1 in bars(r.mask_HW) for r in results)
    assert bars(results[-1].results[0].mask_HW) == [5]


def test_a_query_that_stays_keeps_its_track():
    stream = session()
    stream.set_queries((query(1, "red"),))
    run(stream, [frame(t, red=1, blue=5) for t in range(6)])

    stream.set_queries((query(2, "blue"), query(1, "red")))
    result = stream.step(frame(6, red=1, blue=5), 6.0)

    assert [(r.id, r.state) for r in result.results] == [(2, TRACKING), (1, TRACKING)]


def test_a_query_that_comes_back_under_a_new_id_starts_anew():
    model = ColourModel()
    stream = session(model, grounding_delay_frames=2)
    stream.set_queries((query(1, "red"),))
    run(stream, [frame(t, red=1) for t in range(8)])

    stream.set_queries((query(2, "red"),))

    assert states([stream.step(frame(8, red=1), 8.0)]) == [SEARCHING]


# Rule 14.


def test_a_stamp_that_jumps_back_resets_the_stream_and_keeps_the_queries():
    model = ColourModel()
    stream = session(model)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(10)], start=100)

    results = run(stream, [frame(t, red=2) for t in range(10, 14)], start=0)

    assert states(results) == [SEARCHING] * 3 + [TRACKING]
    assert model.grounded[-1][1] == [10, 11, 12, 13, 13, 13, 13, 13]
    assert stream.stats()["resets"] == 1


def test_a_stream_that_is_begun_anew_keeps_its_queries_and_nothing_that_it_has_seen():
    model = ColourModel()
    stream = session(model)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(10)])

    stream.begin_anew()
    results = run(stream, [frame(t, red=2) for t in range(10, 14)], start=5000)

    assert states(results) == [SEARCHING] * 3 + [TRACKING]
    assert model.grounded[-1][1] == [10, 11, 12, 13, 13, 13, 13, 13]


def tracked_after(stamps, **options):
    """A stream that tracks, its last frame at 9.0, and the results of frames of these stamps."""
    stream = session(**options)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(10)])
    moved = [frame(10 + i, red=3) for i in range(len(stamps))]
    return stream, [stream.step(*pair) for pair in zip(moved, stamps, strict=True)]


@pytest.mark.parametrize("stamp_s", [8.995, 8.0, 9.0])
def test_a_stamp_a_little_behind_the_newest_is_tracked_and_not_sampled(stamp_s):
    stream, (result,) = tracked_after([stamp_s])

    assert (result.t, result.stamp_s) == (10, stamp_s)
    assert bars(result.results[0].mask_HW) == [3]
    assert 10 in fifo_times(stream.tracks[0].memory)
    assert stream.stats()["sampled"] == 10
    assert stream.stats()["resets"] == 0


def test_a_stamp_far_behind_the_newest_resets_however_small_its_last_step():
    """Three steps of 0.4 s: compared with the frame before, none of them is far back."""
    stream, results = tracked_after([8.6, 8.2, 7.8, 8.0])

    assert states(results) == [TRACKING, TRACKING, SEARCHING, SEARCHING]
    assert stream.stats()["resets"] == 1


def test_pictures_in_the_wrong_order_cost_no_mask():
    stamps = [9.0 + (i + (i % 8 == 6) - (i % 8 == 7)) / 10 for i in range(1, 101)]
    _, results = tracked_after(stamps)

    assert states(results) == [TRACKING] * 100
    assert [result.t for result in results] == list(range(10, 110))


def test_how_far_back_resets_is_an_option():
    assert tracked_after([8.9], reset_after_s=0.0)[0].stats()["resets"] == 1
    assert tracked_after([0.0], reset_after_s=10.0)[0].stats()["resets"] == 0


def test_a_new_resolution_resets_the_stream():
    stream = session()
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(5)])

    result = stream.step(np.kron(frame(5, red=1), np.ones((2, 2, 1), np.uint8)), 5.0)

    assert result.mask_HW.shape == (96, 128)
    assert result.results[0].state == SEARCHING


def test_an_answer_from_before_a_reset_is_dropped():
    stream = session(grounding_delay_frames=3)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(5)], start=100)

    results = run(stream, [frame(t, red=2) for t in range(5, 10)], start=0)

    assert states(results) == [SEARCHING] * 5
    assert stream.stats()["stale"] == 1


def test_a_repeated_stamp_is_a_frame_like_any_other_but_not_sampled():
    stream = session()
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(5)])

    result = stream.step(frame(5, red=3), 4.0)

    assert result.t == 5
    assert bars(result.results[0].mask_HW) == [3]
    assert stream.stats()["sampled"] == 5
    assert stream.stats()["resets"] == 0


# What is published: rule 13.


def test_results_have_the_cameras_size_and_count_the_frames():
    stream = session()
    stream.set_queries((query(7),))

    result = run(stream, [frame(t, red=2) for t in range(4)])[-1]

    assert (result.t, result.stamp_s) == (3, 3.0)
    assert result.mask_HW.shape == result.labels_HW.shape == SIZE
    assert result.mask_HW.dtype == result.labels_HW.dtype == np.uint8
    answer = result.results[0]
    assert set(np.unique(result.mask_HW)) == {0, 255}
    assert (result.labels_HW == 7).sum() == answer.area == answer.mask_HW.sum()
    x, y, width, height = answer.box
    assert answer.mask_HW[y : y + height, x : x + width].sum() == answer.area
    assert answer.mask_HW[y].any() and answer.mask_HW[:, x].any()
    assert answer.presence == pytest.approx(0.9933, abs=1e-4)  # sigmoid(5)
    assert answer.score == pytest.approx(0.9)


def test_frames_without_a_query_count_too():
    stream = session()
    run(stream, [frame(t) for t in range(5)])
    stream.set_queries((query(1),))

    assert stream.step(frame(5), 5.0).t == 5


def test_a_frame_is_encoded_at_most_once():
    model = ColourModel()
    stream = session(model, window_period_s=2.0)
    stream.set_queries((query(1, "red"), query(2, "blue")))

    run(stream, [frame(t, red=1, blue=3) for t in range(40)])

    assert len(model.encoded) == len(set(model.encoded))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_not_a_frame_is_refused_and_the_stream_goes_on(image):
    stream = session()
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(4)])

    with pytest.raises(ValueError, match="a frame must"):
        stream.step(image, 4.0)

    assert states([stream.step(frame(4, red=1), 4.0)]) == [TRACKING]


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ((query(1), query(1)), "different ids"),
        (tuple(query(i) for i in range(1, 4)), "3 queries; at most 2"),
    ],
)
def test_queries_that_cannot_be_are_refused(queries, message):
    with pytest.raises(ValueError, match=message):
        session(max_queries=2).set_queries(queries)


@pytest.mark.parametrize(
    "options",
    [
        {"window_size": 6},
        {"window_size": 0},
        {"reground_every": 2},
        {"window_period_s": -1.0},
        {"reground": "never"},
        {"reground_after_s": -1.0},
        {"reset_after_s": -1.0},
        {"reset_after_s": float("nan")},
        {"alpha": 0},
        {"alpha": 9},
        {"grounding_delay_frames": -1},
        {"grounder_threads": 0},
        {"max_queries": 0},
        {"captured_queries": 0},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SessionOptions(**options)


def test_a_pace_that_never_catches_up_is_refused():
    with pytest.raises(ValueError, match="replays"):
        Pace(replays=1)


@pytest.mark.parametrize("pace, most", [("cpu", 4), ("mps", 1), (3, 3)])
def test_the_first_query_of_an_idle_stream_keeps_frames_on_time(pace, most):
    model = ColourModel()
    options = {"pace": Pace(encodes=pace)} if isinstance(pace, int) else {}
    if isinstance(pace, str):
        model.device = torch.device(pace)
    stream = session(model, window_size=16, **options)
    run(stream, [frame(t, red=1) for t in range(16)])
    assert model.encoded == []

    stream.set_queries((query(1),))
    counts, shown = [], []
    for t in range(16, 32):
        before = len(model.encoded)
        shown.append(stream.step(frame(t, red=1), float(t)).results[0].state)
        counts.append(len(model.encoded) - before)

    assert max(counts) == 1 + most  # its own, and of those that wait
    assert shown[-1] == TRACKING and shown.index(TRACKING) <= 4


def test_a_closed_session_takes_no_frames():
    with session() as stream:
        pass

    with pytest.raises(RuntimeError, match="closed"):
        stream.step(frame(), 0.0)


def track(label, column, logit, state=TRACKING):
    """What is read of a track: a mask of one column, at logit height `logit`."""
    logits = torch.full((1, CELLS, CELLS), -20.0)
    logits[:, :, column : column + 2] = logit
    decoded = Decoded(logits, logits, *torch.tensor([[0.9], [5.0]]), torch.zeros(1, 1))
    return SimpleNamespace(query=query(label), state=state, decoded=decoded)


def test_where_masks_overlap_the_label_is_that_of_the_higher_logit():
    for order in (1, -1):
        tracks = [track(1, 2, 30.0), track(2, 3, 40.0)][::order]

        result = compose(0, 0.0, read(tracks), CELLS, CELLS)

        assert result.labels_HW[0].tolist() == [0, 0, 1, 2, 2, 0, 0, 0]
        assert (result.mask_HW[0] > 0).tolist() == [False] * 2 + [True] * 3 + [False] * 3
        assert [r.area for r in result.results] == [16, 16]  # each keeps its whole mask


@pytest.mark.parametrize("state", [SEARCHING, LOST])
def test_searching_and_lost_queries_show_nothing(state):
    result = compose(0, 0.0, read([track(1, 2, 30.0, state)]), CELLS, CELLS)

    assert not result.mask_HW.any() and not result.labels_HW.any()
    assert result.results[0].area == 0


def test_what_a_followed_query_costs_is_its_share_of_the_frame(monkeypatch):
    moments = iter(range(1000))
    clock = SimpleNamespace(perf_counter=lambda: float(next(moments)))  # each look is a second
    monkeypatch.setattr("virst_model.stream.session.time", clock)
    stream = session(ColourModel(), reground_every=64)
    costs = []
    for queries in ((), (query(1, "red"),), (query(1, "red"), query(2, "blue"))):
        stream.set_queries(queries)
        run(stream, [frame(t, red=1, blue=5) for t in range(100)], start=100 * len(queries))
        costs.append(stream.stats()["query_ms_p50"])

    assert costs == [0.0, 1000.0, 500.0]
