"""How well a model answers in words: questions about stories that it has not seen, on a stream."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from virst_model.answer import Question, Reply
from virst_model.evaluate.film import Film
from virst_model.evaluate.score import Row
from virst_model.model.virst import Virst
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.synthetic.stories import make_story

# What a question begins with, and what is asked; all others are answered with yes or no.
KINDS = {
    "How many": "number",
    "What colour": "colour",
    "What shape": "shape",
    "Which way": "way",
}
YES_OR_NO = "yes or no"
OVERALL = "overall"
# More than any answer has, so that one that goes on is wrong.
MOST_TOKENS = 32


@dataclass(frozen=True)
class WordsRun:
    """Which stories are asked about, and how they are filmed.

    Attributes:
        stories: how many; `first`: seed of the first, the others follow.
        per_story: questions about each, at most.
        seconds: of each, of which the stream's window holds all.
    """

    stories: int = 100
    split: str = "test"
    first: int = 0
    per_story: int = 4
    seconds: float = 6.0
    height: int = 240
    width: int = 320


@dataclass(frozen=True)
class Answered:
    """One question, the right answer, and the model's."""

    text: str
    truth: str
    said: str

    @property
    def kind(self) -> str:
        """What is asked."""
        of_kind = (kind for start, kind in KINDS.items() if self.text.startswith(start))
        return next(of_kind, YES_OR_NO)

    @property
    def is_right(self) -> bool:
        """Whether the words are the same, whatever their case and the stop behind them."""
        return _plain(self.said) == _plain(self.truth)


def ask_all(model: Virst, run: WordsRun) -> Iterator[Answered]:
    """Every question of the run, answered. Raises StreamError for weights that do not answer."""
    seeds = range(run.first, run.first + run.stories)
    for seed in tqdm(seeds, desc="stories", leave=False):
        story = make_story(seed, run.split, run.seconds)
        period_s = SessionOptions.window_period_s
        frames = round(run.seconds / period_s)
        film = Film(story.render, frames, 1 / period_s, (run.height, run.width))
        for question in story.questions(count=run.per_story):
            yield Answered(question.text, question.answer, answer(model, film, question.text))


def answer(model: Virst, film: Film, text: str) -> str:
    """What the model says on a stream that has shown the whole film.

    Raises:
        StreamError: the weights were not taught to answer.
        Exception: what the model raises.
    """
    told: list[Reply] = []
    with Session(model, SessionOptions(sync=True)) as session:
        for image_HW3, time_s in zip(film.images, film.times, strict=True):
            session.step(image_HW3, time_s)
        session.ask(Question(text, told.append, MOST_TOKENS))
        while not told or not told[-1].ended:  # the window takes no frame twice
            session.step(image_HW3, time_s)
    if told[-1].error is not None:
        raise told[-1].error
    return told[-1].text


def summarise(answered: Sequence[Answered]) -> dict[str, Row]:
    """By kind of question and over all: how many there are, percent of right answers, and percent
    for who always says what is right most often among questions of that kind.
    """
    by_kind: dict[str, list[Answered]] = defaultdict(list)
    for one in answered:
        by_kind[one.kind].append(one)
    best = {kind: _most_frequent(ones) for kind, ones in by_kind.items()}
    found = {kind: _row(by_kind[kind], best[kind]) for kind in sorted(by_kind)}
    found[OVERALL] = _row(answered, sum(best.values()))
    return found


def _row(answered: Sequence[Answered], guessed: int) -> Row:
    number = len(answered)
    right = sum(one.is_right for one in answered)
    return {"right": 100 * right / number, "guess": 100 * guessed / number, "questions": number}


def _most_frequent(answered: Sequence[Answered]) -> int:
    return Counter(_plain(one.truth) for one in answered).most_common(1)[0][1]


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(" .").split())
