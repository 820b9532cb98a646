"""Groundings in their thread, on a model whose VLM waits for a gate.

Rules 5, 6, 11 and 18 of docs/stream.md.
"""

from threading import Event
from threading import enumerate as threads

from patience import tries
import pytest
from streams import ColourModel, bars, frame, noise_frames, query, real_model, session
import torch

from virst_model.answer import FAILED, LOST, SEARCHING, TRACKING
from virst_model.stream.grounder import GroundingError


class Film:
    """Feeds a stream frames that all show red in column 1, green in 3 and blue in 5."""

    def __init__(self, stream):
        self.stream = stream
        self.t = 0

    def step(self):
        self.t += 1
        return self.stream.step(frame(self.t, red=1, green=3, blue=5), float(self.t))

    def until(self, wanted):
        """Steps until `wanted(result)`; returns the result."""
        for _ in tries(pause_s=0.002):
            result = self.step()
            if wanted(result):
                return result
        pytest.fail(f"not within {self.t} frames")


@pytest.fixture
def model():
    return ColourModel()


@pytest.fixture
def stream(model):
    with session(model, sync=False) as stream:
        yield stream


def tracked(*ids):
    return lambda result: {r.id for r in result.results if r.state == TRACKING} >= set(ids)


def test_masks_keep_coming_while_the_vlm_thinks(model, stream):
    film = Film(stream)
    stream.set_queries((query(1, "red"),))
    film.until(tracked(1))
    film.until(lambda result: stream.tracks[0].grounding is None)
    model.gate, model.asked = Event(), Event()
    stream.set_queries((query(1, "red"), query(2, "blue")))
    film.until(lambda result: model.asked.is_set())

    results = [film.step() for _ in range(40)]

    assert all(bars(r.results[0].mask_HW) == [1] for r in results)
    assert all(r.results[1].state == SEARCHING for r in results)
    model.gate.set()
    assert bars(film.until(tracked(1, 2)).results[1].mask_HW) == [5]


def test_a_snapshot_is_used_after_the_window_has_moved_on(model, stream):
    film = Film(stream)
    model.gate = Event()
    stream.set_queries((query(1, "red"),))
    film.until(lambda result: model.asked.is_set())
    first = model.grounded[0][1][3]

    for _ in range(40):
        film.step()
    model.gate.set()
    film.until(tracked(1))

    assert first not in [f.t + 1 for f in stream._window.frames()]
    assert model.decoded[0] == first


def test_a_removed_querys_grounding_is_cancelled_and_the_next_one_starts(model, stream):
    film = Film(stream)
    model.gate = Event()
    stream.set_queries((query(1, "red"),))
    film.until(lambda result: model.asked.is_set())

    stream.set_queries((query(2, "blue"),))
    film.until(lambda result: len(model.grounded) == 2)  # though the gate is still closed
    model.gate.set()
    result = film.until(tracked(2))

    assert [text for text, _ in model.grounded[:2]] == ["red", "blue"]
    assert bars(result.mask_HW) == [5]
    assert stream.stats()["stale"] == 1


def test_a_reset_cancels_the_grounding_in_flight(model, stream):
    film = Film(stream)
    film.t = 1000
    model.gate = Event()
    stream.set_queries((query(1, "red"),))
    film.until(lambda result: model.asked.is_set())

    film.t = 0  # the stamps jump back
    film.until(lambda result: len(model.grounded) == 2)
    model.gate.set()
    film.until(tracked(1))

    assert stream.stats()["stale"] == 1


def test_the_newest_query_is_grounded_next_and_the_others_in_turn(model, stream):
    film = Film(stream)
    model.gate = Event()
    stream.set_queries((query(1, "red"),))
    film.until(lambda result: model.asked.is_set())

    stream.set_queries((query(1, "red"), query(2, "green"), query(3, "blue")))
    for _ in range(20):
        film.step()
    model.gate.set()
    film.until(lambda result: len(model.grounded) >= 9)

    texts = [text for text, _ in model.grounded]
    assert texts[:3] == ["red", "blue", "green"]
    assert all(set(texts[i : i + 3]) == {"red", "green", "blue"} for i in range(3, 7))


def test_clearing_the_queries_frees_the_grounder_for_the_next(model, stream):
    film = Film(stream)
    model.gate = Event()
    stream.set_queries((query(1, "red"),))
    film.until(lambda result: model.asked.is_set())

    stream.set_queries(())
    assert film.step() is None
    model.gate.set()
    stream.set_queries((query(2, "blue"),))

    assert bars(film.until(tracked(2)).mask_HW) == [5]


@pytest.mark.parametrize("sync", [True, False])
def test_an_error_of_the_vlm_surfaces_from_step_and_the_stream_goes_on(model, monkeypatch, sync):
    def broken(*_, **__):
        raise ArithmeticError("no such number")

    with session(model, sync=sync) as stream, monkeypatch.context() as patch:
        film = Film(stream)
        stream.set_queries((query(7, "red"),))
        patch.setattr(model, "ground", broken)

        with pytest.raises(GroundingError, match=r"query 7 .* ArithmeticError: no such number"):
            film.until(tracked(7))

        patch.undo()
        assert bars(film.until(tracked(7)).mask_HW) == [1]


def test_answers_beside_one_that_failed_are_taken(model, monkeypatch):
    ground = model.ground

    def broken(clips, features, text, *others, **named):
        if text == "blue":  # the newest, and so the first
            raise ArithmeticError("no such number")
        return ground(clips, features, text, *others, **named)

    monkeypatch.setattr(model, "ground", broken)
    with session(model, sync=True, reground_every=64) as stream:
        film = Film(stream)
        stream.set_queries((query(1, "red"), query(2, "blue")))
        for _ in range(3):
            film.step()
        with pytest.raises(GroundingError, match="query 2 "):
            film.step()  # both are due

        assert [track.grounding for track in stream.tracks] == [None, None]
        results = film.step().results
        assert (results[0].state, bars(results[0].mask_HW)) == (TRACKING, [1])
        assert stream.stats()["failed_groundings"] == 1 == stream.stats()["groundings"]


def failed(*ids):
    return lambda result: {r.id for r in result.results if r.state == FAILED} >= set(ids)


# Rule 18.


def test_a_vlm_that_hangs_shows_in_the_states_and_its_answer_is_taken_when_it_comes(model):
    model.gate = Event()
    with session(model, sync=False, grounding_limit_s=0.2) as stream:
        film = Film(stream)
        stream.set_queries((query(1, "red"), query(2, "blue")))
        result = film.until(failed(1, 2))  # the one that is asked, and the one that waits
        assert not result.mask_HW.any()
        assert stream.stats()["grounding_running_s"] > 0.2

        model.gate.set()
        assert bars(film.until(tracked(1, 2)).results[1].mask_HW) == [5]


def test_a_vlm_that_hangs_later_leaves_the_masks(model):
    with session(model, sync=False, grounding_limit_s=0.2) as stream:
        film = Film(stream)
        stream.set_queries((query(1, "red"),))
        film.until(tracked(1))
        model.gate = Event()
        film.until(lambda result: stream.stats()["grounding_running_s"] > 0.2)

        (answer,) = film.step().results
        assert (answer.state, bars(answer.mask_HW)) == (TRACKING, [1])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_prompts_that_are_not_finite_are_an_error_and_not_a_lost_object(
    model, monkeypatch, number
):
    ground = model.ground

    def broken(*arguments, **named):
        prompts_TNC = ground(*arguments, **named).clone()
        prompts_TNC[-1, 3, 1] = number
        return prompts_TNC

    with session(model, reground_every=4) as stream, monkeypatch.context() as patch:
        film = Film(stream)
        stream.set_queries((query(1, "red"),))
        patch.setattr(model, "ground", broken)
        for _ in range(3):
            with pytest.raises(GroundingError, match="not finite"):
                film.until(tracked(1))
        assert failed(1)(film.step())
        assert stream.stats()["failed_groundings"] == 3

        patch.undo()
        assert bars(film.until(tracked(1)).mask_HW) == [1]


def test_an_answer_without_the_object_is_an_answer(model, monkeypatch):
    with session(model, window_size=16) as stream:
        stream.set_queries((query(1, "blue"),))
        shown = []
        for t in range(17):  # asked at 4, 8 and 16 frames; the last has four anchors, two a frame
            with monkeypatch.context() as patch:
                if t == 3:
                    patch.setattr(model, "ground", None)
                try:
                    shown.append(stream.step(frame(t, red=1), float(t)).results[0].state)
                except GroundingError:
                    shown.append("error")

    assert shown == [SEARCHING] * 3 + ["error"] + [FAILED] * 3 + [SEARCHING] * 9 + [LOST]


def grounder_threads():
    return [thread for thread in threads() if thread.name.startswith("virst-grounder")]


def test_close_cancels_and_joins_the_thread(model):
    before = len(grounder_threads())
    model.gate = Event()
    with session(model, sync=False) as stream:
        stream.set_queries((query(1, "red"),))
        Film(stream).until(lambda result: model.asked.is_set())
        assert len(grounder_threads()) == before + 1

    assert len(grounder_threads()) == before


def test_the_grounder_has_its_own_number_of_torch_threads(model, stream, monkeypatch):
    numbers = []
    ground = model.ground

    def spy(*arguments, **named):
        numbers.append(torch.get_num_threads())
        return ground(*arguments, **named)

    monkeypatch.setattr(model, "ground", spy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        stream.set_queries((query(1, "red"),))
        Film(stream).until(tracked(1))
        assert (numbers[0], torch.get_num_threads()) == (1, 2)
    finally:
        torch.set_num_threads(before)


def test_the_real_model_tracks_with_its_vlm_in_a_thread():
    frames = noise_frames(32)
    with session(real_model(), sync=False) as stream:
        stream.warm_up(*frames[0].shape[:2])
        stream.set_queries((query(1, "the red circle"),))
        for t in tries(pause_s=0.002):
            result = stream.step(frames[t % 32], float(t))
            if result.results[0].state == TRACKING:
                break

    assert result.results[0].state == TRACKING
    assert stream.stats()["grounding_ms_p50"] > 0
