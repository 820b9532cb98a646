"""Frames at which the model fails: rule 17 of docs/stream.md, on a model that sees colours."""

from dataclasses import replace

import pytest
from streams import ColourModel, bars, fifo_times, frame, query, session

from virst_model.answer import SEARCHING, TRACKING


class Film:
    """Feeds a stream frames that show red in column 1."""

    def __init__(self, model, **options):
        self.stream = session(model, **options)
        self.stream.set_queries((query(1, "red"),))
        self.t = -1

    def step(self):
        self.t += 1
        return self.stream.step(frame(self.t, red=1), float(self.t))

    def fail(self, error=MemoryError):
        """A frame without an answer."""
        with pytest.raises(error, match="scripted"):
            self.step()

    def fail_with(self, text):
        """A frame whose numbers are none."""
        with pytest.raises(FloatingPointError, match=text):
            self.step()

    def run(self, count):
        """The answers to the next frames."""
        return [self.step().results[0] for _ in range(count)]


def broken(error=MemoryError):
    def raise_it(*_, **__):
        raise error("scripted")

    return raise_it


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_a_frame_that_cannot_be_propagated_is_as_one_that_was_dropped(monkeypatch, error):
    film = Film(model := ColourModel(), reground_every=64)
    film.run(10)
    with monkeypatch.context() as patch:
        patch.setattr(model, "propagate", broken(error))
        film.fail(error)

    (answer,) = film.run(1)

    assert (answer.state, bars(answer.mask_HW)) == (TRACKING, [1])
    memory = film.stream.tracks[0].memory
    assert film.t in fifo_times(memory) and film.t - 1 not in fifo_times(memory)


def test_a_frame_that_cannot_be_encoded_is_a_hole_and_not_tried_again(monkeypatch):
    film = Film(model := ColourModel(), reground_every=4)
    film.run(11)
    with monkeypatch.context() as patch:
        patch.setattr(model, "encode_frame", broken())
        film.fail()  # completes a clip: a grounding would be due
    asked = len(model.grounded)

    answers = film.run(12)

    assert all((a.state, bars(a.mask_HW)) == (TRACKING, [1]) for a in answers)
    assert 11 not in model.encoded
    later = [times for _, times in model.grounded[asked:]]
    assert later and all(min(times) > 11 for times in later), "a grounding looked across the hole"


def test_a_hole_is_not_replayed(monkeypatch):
    film = Film(model := ColourModel(), grounding_delay_frames=4, reground_every=64)
    film.run(5)
    with monkeypatch.context() as patch:
        patch.setattr(model, "encode_frame", broken())
        film.fail()

    assert film.run(6)[-1].state == TRACKING
    assert 4 in model.replayed and 5 not in model.replayed


@pytest.mark.parametrize("part", ["decode_anchor", "encode_memory"])
def test_a_track_that_fails_while_it_takes_in_an_answer_starts_anew(monkeypatch, part):
    film = Film(model := ColourModel(), reground_every=64)
    film.run(3)
    with monkeypatch.context() as patch:
        patch.setattr(model, part, broken())
        film.fail()

    assert film.stream.tracks[0].state == SEARCHING
    assert film.stream.tracks[0].memory.anchor_times == ()
    answer = film.run(2)[-1]
    assert (answer.state, bars(answer.mask_HW)) == (TRACKING, [1])


@pytest.mark.parametrize("value", ["logits", "object_score"])
@pytest.mark.parametrize("part, seen", [("decode_anchor", 3), ("propagate", 10)])
def test_a_mask_that_is_not_finite_is_no_hidden_object(monkeypatch, part, seen, value):
    film = Film(model := ColourModel(), reground_every=64)
    film.run(seen)
    compute = getattr(model, part)

    def overflow(*arguments):
        decoded = compute(*arguments)
        return replace(decoded, **{value: getattr(decoded, value) * float("nan")})

    with monkeypatch.context() as patch:
        patch.setattr(model, part, overflow)
        with pytest.raises(FloatingPointError, match="masks are not finite"):
            film.step()

    assert film.stream.tracks[0].state == SEARCHING
    answer = film.run(2)[-1]
    assert (answer.state, bars(answer.mask_HW)) == (TRACKING, [1])


def test_other_tracks_stay_where_one_starts_anew(monkeypatch):
    film = Film(model := ColourModel(), reground_every=64)
    film.run(20)
    film.stream.set_queries((query(1, "red"), query(2, "blue")))
    with monkeypatch.context() as patch:
        patch.setattr(model, "decode_anchor", broken())
        film.fail()

    assert [track.state for track in film.stream.tracks] == [TRACKING, SEARCHING]


def test_one_answer_that_is_not_finite_leaves_the_others(monkeypatch):
    film = Film(model := ColourModel(), reground_every=64)
    film.stream.set_queries((query(1, "red"), query(2, "green")))
    film.run(3)
    decode = model.decode_anchor

    def overflow(features, prompts_NC, before=None):
        decoded = decode(features, prompts_NC, before)
        is_green = prompts_NC[0, 1] > 0
        return replace(decoded, logits=decoded.logits * float("nan")) if is_green else decoded

    with monkeypatch.context() as patch:
        patch.setattr(model, "decode_anchor", overflow)
        film.fail_with("masks are not finite")

    answer = film.run(1)[0]  # the anchor that was decoded then, and is now decoded again
    assert (answer.state, bars(answer.mask_HW)) == (TRACKING, [1])
    red, green = film.stream.tracks
    assert red.memory.anchor_times == (3,) and green.memory.anchor_times == ()
    assert green.state == SEARCHING


def test_a_frame_that_cannot_be_remembered_is_a_hole_in_the_memory_alone(monkeypatch):
    film = Film(model := ColourModel(), reground_every=64)
    film.run(10)
    anchors = film.stream.tracks[0].memory.anchor_times
    with monkeypatch.context() as patch:
        patch.setattr(model, "encode_memory", broken())
        film.fail()

    (answer,) = film.run(1)

    assert (answer.state, bars(answer.mask_HW)) == (TRACKING, [1])
    memory = film.stream.tracks[0].memory
    assert memory.anchor_times == anchors and film.t - 1 not in fifo_times(memory)


def test_memory_keeps_its_own_rows_of_a_batch():
    stream = session(ColourModel(), reground_every=64)
    stream.set_queries((query(1, "red"), query(2, "green"), query(3, "blue")))
    for t in range(4):
        stream.step(frame(t, red=1, green=3, blue=5), float(t))
    for track in stream.tracks:
        (entry,) = track.memory._anchors.values()
        for tensor in (entry.maps, entry.pointer):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
