"""Questions in words on a stream, of a small model whose words are scripted.

Rule 20 of docs/stream.md.
"""

from dataclasses import replace
from threading import Event
from threading import enumerate as threads

from patience import tries
import pytest
from streams import noise_frames, query, real_model, session, smallest
import torch

from virst_model.answer import MOST_QUESTIONS, TRACKING, Question
from virst_model.errors import InputError
from virst_model.model.prompt import question_ids
from virst_model.offline import ask
from virst_model.stream.grounder import StreamError

TEXT = "what moves?"
IMAGES = noise_frames(32)


class Script:
    """Hooks a model's head: it says "a" again and again, and does not end by itself.

    `notes` has "token" and "ground", in their order; `gate`: tokens wait for it.
    """

    def __init__(self, model, monkeypatch):
        self.notes = []
        self.gate = Event()
        self.gate.set()
        self.held = Event()
        self.fails_at = None
        self._word = model.tokenizer.encode("a").ids[0]
        self._hook = model.vlm.llm.lm_head.register_forward_hook(self._say)
        ground = model.ground
        monkeypatch.setattr(
            model, "ground", lambda *a, **b: self.notes.append("ground") or ground(*a, **b)
        )

    def _say(self, layer, inputs, logits):
        self.notes.append("token")
        if self.notes.count("token") == self.fails_at:
            raise ArithmeticError("scripted")
        if not self.gate.is_set():
            self.held.set()
            self.gate.wait()
        return torch.zeros_like(logits).index_fill(-1, torch.tensor([self._word]), 1.0)

    def hold(self, film):
        """The next token waits for the gate; returns when it does."""
        self.held.clear()
        self.gate.clear()
        film.until(self.held.is_set)

    @property
    def tokens(self):
        return self.notes.count("token")


class Film:
    """Feeds a stream frames a second apart."""

    def __init__(self, stream):
        self.stream = stream
        self.t = 0

    def step(self):
        self.t += 1
        return self.stream.step(IMAGES[self.t % len(IMAGES)], float(self.t))

    def until(self, condition):
        for _ in tries(pause_s=0.002):
            result = self.step()
            if condition():
                return result
        pytest.fail(f"not within {self.t} frames")

    def ask(self, text=TEXT, **asked):
        """A question, and what was told of it."""
        told = []
        question = Question(text, told.append, **asked)
        self.stream.ask(question)
        return question, told


def over(*tolds):
    return lambda: all(told and told[-1].ended for told in tolds)


@pytest.fixture(autouse=True)
def _one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model():
    return real_model(replace(smallest(), answers=True))


@pytest.fixture
def script(model, monkeypatch):
    return Script(model, monkeypatch)


@pytest.fixture
def film(model, script):
    with session(model, sync=False, reground_every=4) as stream:
        yield Film(stream)
        script.gate.set()


@pytest.mark.parametrize("sync", [True, False])
def test_the_answer_is_that_of_the_windows_frames_offline(model, sync):
    clips = [IMAGES[1:5], IMAGES[5:9]]
    with torch.inference_mode():
        tokens = [model.encode_clip([model.clip_pixels(i) for i in clip]) for clip in clips]
    expected = ask.answer(model, tokens, TEXT, 12)

    with session(model, sync=sync) as stream:
        film = Film(stream)
        for _ in range(7):
            film.step()
        _, told = film.ask(max_tokens=12)
        for _ in tries(pause_s=0.002):
            film.step()
            if over(told)():
                break

    assert told[-1].text == expected and expected
    assert {(reply.first_s, reply.last_s) for reply in told} == {(1.0, 8.0)}


def test_in_sync_mode_a_frame_has_a_piece(model, script):
    with session(model) as stream:
        film = Film(stream)
        _, told = film.ask(max_tokens=3)
        texts = []
        for _ in range(9):
            film.step()
            texts.append([(reply.text, reply.ended) for reply in told])

    assert texts[2] == [] and texts[3] == [("", False)]  # and the clip's tokens
    assert texts[4:7] == [
        [("", False), ("a", False)],
        [("", False), ("a", False), ("aa", False)],
        [("", False), ("a", False), ("aa", False), ("aaa", True)],
    ]
    assert texts[8] == texts[6] and script.tokens == 3


def test_an_answer_goes_on_while_no_frame_comes(film, script):
    _, told = film.ask(max_tokens=40)
    film.until(lambda: told)

    assert any(over(told)() for _ in tries())
    assert told[-1].text == "a" * 40


def test_a_grounding_waits_for_one_token_and_no_more(film, script):
    film.stream.set_queries((query(1),))
    film.until(lambda: film.stream.stats()["groundings"] > 2)
    _, told = film.ask(max_tokens=400)
    for _ in range(5):
        film.until(lambda: film.stream.tracks[0].grounding is None)
        script.hold(film)
        film.until(lambda: film.stream.tracks[0].grounding is not None)
        before = len(script.notes)
        script.gate.set()
        assert any(len(script.notes) > before for _ in tries())
        assert script.notes[before] == "ground"
    assert not told[-1].ended


def test_masks_come_while_a_token_takes_its_time(film, script):
    film.stream.set_queries((query(1),))
    film.until(lambda: film.stream.tracks[0].state == TRACKING)
    _, told = film.ask()
    script.hold(film)

    results = [film.step() for _ in range(30)]

    assert [r.results[0].state for r in results] == [TRACKING] * 30
    assert not told[-1].ended


def test_questions_are_answered_however_many_groundings_are_due(film, script):
    film.stream.set_queries(tuple(query(i, f"red {i}") for i in range(1, 9)))
    _, told = film.ask(max_tokens=5)

    film.until(over(told))

    assert told[-1].text == "aaaaa"


@pytest.mark.parametrize("queries", [0, 1])
def test_a_cancel_stops_within_one_token(film, script, queries):
    film.stream.set_queries(tuple(query(i + 1) for i in range(queries)))
    question, told = film.ask()
    film.until(lambda: told and len(told[-1].text) >= 3)
    script.hold(film)
    at_cancel = script.tokens

    question.cancelled.set()
    script.gate.set()
    _, next_told = film.ask("and what stands still?", max_tokens=1)
    film.until(over(next_told))

    assert script.tokens == at_cancel + 1  # that of the next question
    assert not told[-1].ended


def test_a_question_that_is_cancelled_before_its_turn_is_none(film, script):
    _, first = film.ask(max_tokens=2)
    waiting, told = film.ask()
    waiting.cancelled.set()
    _, last = film.ask(max_tokens=2)

    film.until(over(first, last))

    assert told == [] and script.tokens == 4


def test_questions_are_answered_in_their_turn_and_only_so_many_wait(film):
    asked = [film.ask(f"what is {i}?", max_tokens=2) for i in range(MOST_QUESTIONS)]
    with pytest.raises(StreamError, match=f"{MOST_QUESTIONS} questions are there already"):
        film.ask()

    for index, (_, told) in enumerate(asked):
        film.until(over(told))
        assert not any(later for _, later in asked[index + 1 :] if over(later)())
    film.ask()


def test_an_idle_stream_is_asked_about_all_that_it_has_kept(film, model):
    for _ in range(11):
        assert film.step() is None
    assert all(frame.features is None for frame in film.stream._window.frames())

    _, told = film.ask(max_tokens=2)
    film.until(over(told))

    assert told[0].last_s - told[0].first_s == 7.0  # of 8 frames
    assert all(clip.tokens is not None for clip in film.stream._window.snapshot()[:1])


def test_an_answer_outlives_its_window(film, script):
    _, told = film.ask(max_tokens=3)
    script.gate.clear()
    film.until(lambda: script.tokens)

    film.t = -100  # the stamps jump back
    film.step()
    script.gate.set()
    film.until(over(told))

    assert (told[-1].text, told[-1].first_s) == ("aaa", 1.0)


@pytest.mark.parametrize("sync", [True, False])
def test_what_the_model_raises_is_told_and_the_stream_goes_on(model, script, sync):
    script.fails_at = 3
    with session(model, sync=sync) as stream:
        film = Film(stream)
        stream.set_queries((query(1),))
        _, told = film.ask()
        _, next_told = film.ask(max_tokens=2)
        film.until(over(told, next_told))

        assert str(told[-1].error) == "scripted" and told[-1].text == "aa"
        assert next_told[-1].error is None and next_told[-1].text == "aa"
        assert film.step().results[0].state == TRACKING


def test_a_question_that_does_not_fit_is_an_error_with_both_numbers(film):
    _, told = film.ask("why " * 5000)
    film.until(over(told))

    assert isinstance(told[-1].error, InputError)
    assert "4096" in str(told[-1].error) and "256 new tokens" in str(told[-1].error)


def test_weights_that_were_not_taught_to_answer_are_not_asked():
    untaught = pytest.raises(StreamError, match="has not learned to answer in words")
    with session(real_model(smallest())) as stream, untaught:
        Film(stream).ask()


def test_close_cancels_what_is_asked_and_joins_the_thread(model, script):
    with session(model, sync=False) as stream:
        film = Film(stream)
        asked = [film.ask()[0] for _ in range(2)]
        film.until(lambda: script.tokens > 3)

    assert all(question.cancelled.is_set() for question in asked)
    assert not [thread for thread in threads() if thread.name.startswith("virst-grounder")]


def test_the_conversation_is_the_offline_one(model, film, script, monkeypatch):
    read = []
    speak = model.vlm.speak
    monkeypatch.setattr(model.vlm, "speak", lambda x: read.append(x.shape[1]) or speak(x))
    _, told = film.ask(max_tokens=1)
    film.until(over(told))

    tokens = len(question_ids(model.tokenizer, TEXT)) - 1
    clips = 2  # four frames, padded to eight
    assert read == [tokens + clips * model.config.tome.tokens]
