"""How well a model answers in words: questions about worlds that it has not seen, on a stream."""

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
from virst_model.synthetic.splits import rng_of
from virst_model.synthetic.world import MAKERS

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
    """Which scenes and stories are asked about, and how they are filmed.

    Attributes:
        videos: how many of each of `worlds`; `first`: seed of the first, the others follow.
        per_video: questions about each, at most.
        seconds: of each, of which the stream's window holds all.
    """

    videos: int = 100
    worlds: tuple[str, ...] = ("scenes", "stories")
    split: str = "test"
    first: int = 0
    per_video: int = 4
    seconds: float = 6.0
    height: int = 240
    width: int = 320


@dataclass(frozen=True)
class Answered:
    """One question about a video of some `worlds`, the right answer, and the model's."""

    worlds: str
    text: str
    truth: str
    said: str

    @property
    def kind(self) -> str:
        """What is asked, and of which worlds."""
        of_kind = (kind for start, kind in KINDS.items() if self.text.startswith(start))
        return f"{self.worlds}: {next(of_kind, YES_OR_NO)}"

    @property
    def is_right(self) -> bool:
        """Whether the words are the same, whatever their case and the stop behind them."""
        return _plain(self.said) == _plain(self.truth)


def ask_all(model: Virst, run: WordsRun) -> Iterator[Answered]:
    """Every question of the run, answered. Raises StreamError for weights that do not answer."""
    seeds = range(run.first, run.first + run.videos)
    videos = [(worlds, seed) for worlds in run.worlds for seed in seeds]
    for worlds, seed in tqdm(videos, desc="videos", leave=False):
        world = MAKERS[worlds](seed, run.split, duration_s=run.seconds)
        period_s = SessionOptions.window_period_s
        frames = round(run.seconds / period_s)
        film = Film(world.render, frames, 1 / period_s, (run.height, run.width))
        rng = rng_of(run.split, seed, "answers in words")
        for question in world.questions(rng, run.per_video):
            said = answer(model, film, question.text)
            yield Answered(worlds, question.text, question.answer, said)


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
    """By kind of question, by worlds and over all: how many there are, percent of right answers,
    and percent for who always says what is right most often among questions of that kind.
    """
    kinds = sorted({one.kind for one in answered})
    worlds = sorted({one.worlds for one in answered})
    found = {kind: _row([one for one in answered if one.kind == kind]) for kind in kinds}
    for name in worlds:
        found[f"{name}: {OVERALL}"] = _row([one for one in answered if one.worlds == name])
    found[OVERALL] = _row(answered)
    return found


def _row(answered: Sequence[Answered]) -> Row:
    truths: dict[str, Counter] = defaultdict(Counter)
    for one in answered:
        truths[one.kind][_plain(one.truth)] += 1
    guessed = sum(max(counts.values()) for counts in truths.values())
    right, number = sum(one.is_right for one in answered), len(answered)
    return {"right": 100 * right / number, "guess": 100 * guessed / number, "questions": number}


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(" .").split())
