"""The tracker and the grounder in two lanes: what waits for what, with lanes that note it."""

from contextlib import contextmanager
from dataclasses import replace
from threading import Event, current_thread

from patience import tries
import pytest
from streams import ColourModel, bars, frame, query, real_model, smallest
import torch

from virst_model import Session, SessionOptions
from virst_model.answer import SEARCHING, TRACKING, Question
from virst_model.stream.lanes import Lanes, NoLane, lanes_of


class Noted:
    """A lane that notes what is done in it, and whose marks can be held back."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes
        self.marks = 0
        self.reached = Event()  # its work up to each mark is done
        self.reached.set()

    @contextmanager
    def working(self):
        before, LANE[current_thread().ident] = LANE.get(current_thread().ident), self.name
        try:
            yield
        finally:
            LANE[current_thread().ident] = before

    def mark(self):
        self.marks += 1
        return _Mark(self, self.marks)

    def follow(self, mark):
        self.notes.append((self.name, "follows", mark.lane.name))

    def keep(self, tensors):
        self.notes.append((self.name, "keeps", [tuple(t.shape) for t in tensors]))


class _Mark:
    def __init__(self, lane, number):
        self.lane, self.number = lane, number

    def synchronize(self):
        self.lane.reached.wait()
        self.lane.notes.append((self.lane.name, "is done"))


LANE: dict[int, str | None] = {}


class Watched(ColourModel):
    """Notes in which lane it works."""

    def __init__(self, notes):
        super().__init__()
        self.notes = notes

    def _note(self, what):
        self.notes.append((LANE.get(current_thread().ident), what))

    def encode_frame(self, image, resize="bilinear"):
        self._note("encodes")
        return super().encode_frame(image, resize)

    def ground(self, *arguments, **named):
        self._note("grounds")
        return super().ground(*arguments, **named)

    def decode_anchor(self, *arguments):
        self._note("decodes an anchor")
        return super().decode_anchor(*arguments)


@pytest.fixture
def notes():
    return []


@pytest.fixture
def stream(notes):
    lanes = Lanes(Noted("tracker", notes), Noted("grounder", notes))
    options = SessionOptions(window_size=8, window_period_s=0.0, reground_every=64)
    with Session(Watched(notes), options, lanes) as stream:
        stream.lanes = lanes
        yield stream
        lanes.grounder.reached.set()


def run(stream, until):
    stream.set_queries((query(1),))
    for t in tries(pause_s=0.002):
        result = stream.step(frame(t, red=1), float(t))
        if until(result):
            return result


def tracked(result):
    return result.results[0].state == TRACKING


def test_a_grounding_follows_its_frames_and_the_anchors_follow_the_grounding(stream, notes):
    result = run(stream, tracked)

    assert bars(result.mask_HW) == [1]
    of_an_answer = [note for note in notes if note[1] != "encodes"][:6]
    assert of_an_answer == [
        ("grounder", "follows", "tracker"),
        ("grounder", "grounds"),
        ("grounder", "is done"),
        ("tracker", "follows", "grounder"),
        ("tracker", "keeps", [(10, 3)]),
        ("tracker", "decodes an anchor"),
    ]
    assert {note[0] for note in notes if note[1] == "encodes"} == {"tracker"}


def test_an_answer_that_the_device_has_not_finished_is_none_yet(stream, notes):
    stream.lanes.grounder.reached.clear()
    run(stream, lambda result: ("grounder", "grounds") in notes)
    for t in range(1000, 1020):
        assert stream.step(frame(t, red=1), float(t)).results[0].state == SEARCHING
    assert stream.stats()["grounding_running_s"] > 0

    stream.lanes.grounder.reached.set()

    for t in tries(pause_s=0.002):
        if tracked(stream.step(frame(2000 + t, red=1), 2000.0 + t)):
            break
    assert stream.stats()["groundings"] > 0


def test_a_grounding_that_fails_ends_when_the_device_is_done_with_it(stream, notes, monkeypatch):
    def broken(*_, **__):
        raise ArithmeticError("scripted")

    monkeypatch.setattr(stream._model, "ground", broken)

    with pytest.raises(RuntimeError, match="scripted"):
        run(stream, tracked)

    assert ("grounder", "is done") in notes
    assert ("tracker", "follows", "grounder") not in notes


def test_an_answer_in_words_follows_its_frames_and_each_token_is_waited_for(notes):
    model, told = real_model(replace(smallest(), answers=True)), []
    lanes = Lanes(Noted("tracker", notes), Noted("grounder", notes))
    options = SessionOptions(window_size=8, window_period_s=0.0)
    with Session(model, options, lanes) as stream:
        stream.ask(Question("what moves?", told.append, max_tokens=3))
        for t in tries(pause_s=0.002):
            stream.step(frame(t), float(t))
            if told and told[-1].ended:
                break

    assert len(told) > 1
    assert notes == [("grounder", "follows", "tracker"), ("grounder", "is done")] * len(told)


def test_a_cpu_has_no_lanes():
    lanes = lanes_of(torch.device("cpu"))
    assert isinstance(lanes.tracker, NoLane) and isinstance(lanes.grounder, NoLane)
