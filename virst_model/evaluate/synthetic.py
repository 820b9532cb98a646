"""How well a model follows synthetic scenes, or stories, in which things happen.

A stream runs once through a synchronous `Session` with all its sentences at once, and once with a
query that is swapped half-way for another object.

Beside J and F by kind of sentence: whether nothing is found where nothing is meant, whether a mask
comes back with its object, and whether it goes over when a sentence's referent does.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
import itertools

import numpy as np
from tqdm import tqdm

from virst_model.evaluate.film import FOUND, Film, follow, swap, whole
from virst_model.evaluate.metrics import boundary, region
from virst_model.evaluate.predict import MODES
from virst_model.evaluate.score import ALL, RATE, Row, markdown
from virst_model.model.virst import Virst
from virst_model.offline.video import Scorer
from virst_model.stream.options import SessionOptions
from virst_model.synthetic.photographs import NOTHING, read_photographs
from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.trials import TRIALS, make_trial
from virst_model.synthetic.world import MAKERS, World

# An object is hidden where nothing of it is seen for so many frames, and back where a quarter of
# its largest area is.
HIDDEN_FRAMES, BACK_SHARE = 3, 0.25
RETURN_FRAMES = 5
SHIFT_S = 2.0
# Kinds of sentences that name an object by what it looks like.
LOOKS = (
    *("colour", "colour_shape", "shape", "size"),
    *("attribute", "superlative", "relation"),
)
# What can be said of a trial: cut-outs have a colour alone, and all small objects are of one size.
TRIAL_KINDS = {
    "cutouts": ("colour", "all", "none"),
    "small": ("colour", "colour_shape", "shape", "position", "motion", "none"),
}


@dataclass(frozen=True)
class SyntheticRun:
    """Which scenes or stories, how they are filmed, and how they are run.

    Attributes:
        worlds: "scenes", "stories", or one of `trials.TRIALS`, of the camera's world.
        photographs: folder of photographs, of those trials that need some.
        first: seed of the first; the others follow. Disjoint ranges are disjoint samples.
        per_kind: sentences of each kind about each.
        kinds: those that are asked; none: all.
        mode: "offline" or "streaming", a synchronous session; `delay`: frames that a grounding
            takes in it.
        reground, reground_after_s: of a stream, as SessionOptions has them.
    """

    worlds: str = "stories"
    split: str = "test"
    videos: int = 100
    first: int = 0
    frames: int = 60
    fps: float = 10.0
    height: int = 240
    width: int = 320
    per_kind: int = 1
    kinds: tuple[str, ...] = ()
    mode: str = "streaming"
    delay: int = 1
    photographs: str = ""
    reground: str = SessionOptions.reground
    reground_after_s: float = SessionOptions.reground_after_s

    def __post_init__(self) -> None:
        """Raises ValueError for worlds or a mode that is not there."""
        known = (*MAKERS, *TRIALS)
        if self.worlds not in known:
            raise ValueError(f"worlds is {self.worlds!r}; known are {', '.join(known)}")
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; known are {', '.join(MODES)}")

    @property
    def regrounding(self) -> dict[str, object]:
        """Those of SessionOptions that say when a query is asked again."""
        return {"reground": self.reground, "reground_after_s": self.reground_after_s}


@dataclass
class Tally:
    """What is counted over all videos; each list has an entry a sentence or an event.

    Attributes:
        scores: by kind of sentence: J and F over the frames that count, J&F over all; 0..1.
        rates: by kind, groundings a minute, in a stream.
        empties: shares of frames without a mask, of sentences about nothing.
    """

    scores: dict[str, list[tuple[float, float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    empties: list[float] = field(default_factory=list)
    returns: list[bool] = field(default_factory=list)
    shifts: list[bool] = field(default_factory=list)
    swaps: list[bool] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)


def evaluate(model: Virst, run: SyntheticRun, scorer: Scorer | None = None) -> dict:
    """Rows by kind of sentence and over all (percent), and the share of events that went right.

    Returns:
        "rows": J, F and J&F over the frames that count (in a stream from the first answer on, and
        for a sentence about time from its event on), J&F over all frames, and in a stream how
        often a sentence is grounded, a minute. "events": percent
        and number of: frames without a mask where nothing is meant; masks back within 5 frames of
        their object; masks on the new referent within 2 s; in a stream, swapped queries followed.
    """
    tally = count(model, run, scorer)
    scores, rates = tally.scores, tally.rates
    rows = {kind: _row(values, rates[kind]) for kind, values in sorted(scores.items())}
    rows["overall"] = _row(
        list(itertools.chain(*scores.values())), list(itertools.chain(*rates.values()))
    )
    return {
        "rows": rows,
        "events": {name: _share(values) for name, values in events(tally).items() if values},
        "first_answer_s": float(np.mean(tally.delays_s)) if tally.delays_s else None,
    }


def count(model: Virst, run: SyntheticRun, scorer: Scorer | None = None) -> Tally:
    """What `evaluate` sums up, sentence by sentence and event by event."""
    tally = Tally()
    with frame_bar(run) as bar:
        for film, sentences in films(run, bar):
            texts = [sentence.text for sentence in sentences]
            if run.mode == "offline":
                masks, first = whole(model, film, texts, scorer, bar.update), [0] * len(texts)
            else:
                masks, first, groundings = follow(
                    model, film, texts, run.delay, bar.update, **run.regrounding
                )
                for sentence, number in zip(sentences, groundings, strict=True):
                    tally.rates[sentence.kind].append(60 * number * run.fps / film.length)
            for sentence, mask_THW, start in zip(sentences, masks, first, strict=True):
                _count(tally, sentence, mask_THW, film, start, run)
            pair = _different(sentences)
            if pair and run.mode == "streaming":
                queries = ((s.text, s.masks(film.ids_THW, film.times)) for s in pair)
                tally.swaps.append(swap(model, film, *queries, run.delay, **run.regrounding))
    return tally


def events(tally: Tally) -> dict[str, list]:
    """Those of a tally by what they are called; each is right or wrong, or a share."""
    return {
        "empty frames where nothing is meant": tally.empties,
        f"back within {RETURN_FRAMES} frames": tally.returns,
        f"on the new referent within {SHIFT_S:g} s": tally.shifts,
        "swaps followed": tally.swaps,
    }


def frame_bar(run: SyntheticRun) -> tqdm:
    """For the frames of all worlds."""
    return tqdm(total=run.videos * run.frames, unit="frame", desc=run.worlds)


def films(run: SyntheticRun, bar: tqdm) -> Iterator[tuple[Film, list[Sentence]]]:
    """Each world as it is filmed, with the sentences that are asked of it, if there are any.

    Who looks at a film moves the `bar` by its frames; here it moves by those of the other worlds.
    """
    for seed in range(run.first, run.first + run.videos):
        world, sentences = _asked(run, seed)
        if sentences:
            yield Film(world.render, run.frames, run.fps, (run.height, run.width)), sentences
        else:
            bar.update(run.frames)


def asks_something(run: SyntheticRun) -> bool:
    """Whether there is a sentence about any of the worlds, of the kinds that are asked."""
    return any(_asked(run, seed)[1] for seed in range(run.first, run.first + run.videos))


def _asked(run: SyntheticRun, seed: int) -> tuple[World, list[Sentence]]:
    duration_s = run.frames / run.fps
    if run.worlds in MAKERS:
        world = MAKERS[run.worlds](seed, run.split, duration_s=duration_s)
    else:
        aside = read_photographs(run.photographs, aside=True) if run.photographs else NOTHING
        world = make_trial(run.worlds, seed, run.split, duration_s, aside)
    sentences = world.sentences(per_kind=run.per_kind)
    return world, [s for s in sentences if s.kind in run.kinds or not run.kinds]


def _count(
    tally: Tally,
    sentence: Sentence,
    mask_THW: np.ndarray,
    film: Film,
    first: int | None,
    run: SyntheticRun,
) -> None:
    truth_THW = sentence.masks(film.ids_THW, film.times)
    j, f = region(truth_THW, mask_THW), boundary(truth_THW, mask_THW)
    start = first or 0
    if run.mode == "streaming":
        tally.delays_s += [] if first is None else [first / run.fps]
        start = min(max(start, round(sentence.decided_s * run.fps)), film.length - 1)
    tally.scores[sentence.kind].append((j[start:].mean(), f[start:].mean(), (j + f).mean() / 2))
    if sentence.kind == "none":
        tally.empties.append(float((~mask_THW[start:].any(axis=(1, 2))).mean()))
    elif sentence.kind == "shift":
        tally.shifts += shifts(sentence, film, mask_THW, start, run)
    elif len(sentence.object_ids(0.0)) == 1:
        tally.returns += returns(truth_THW.sum(axis=(1, 2)), j, start)


def returns(area_T: np.ndarray, iou_T: np.ndarray, start: int) -> list[bool]:
    """Of every time that an object with a mask on it was hidden: whether the mask came back.

    An object that had no mask before it hid, from `start` on, does not count.
    """
    came_back, hidden = [], 0
    on_it_T = (iou_T >= FOUND) & (area_T > 0)
    for t in range(1, len(area_T)):
        if area_T[t] == 0:
            hidden += 1
        elif hidden and area_T[t] >= BACK_SHARE * area_T.max():
            if hidden >= HIDDEN_FRAMES and on_it_T[start : t - hidden].any():
                came_back.append(bool(on_it_T[t : t + RETURN_FRAMES + 1].any()))
            hidden = 0
    return came_back


def shifts(
    sentence: Sentence, film: Film, mask_THW: np.ndarray, start: int, run: SyntheticRun
) -> list[bool]:
    """Of every change of the referent after `start`: whether the mask moved within SHIFT_S.

    Changes that do not last that long, or are from or to nobody, do not count.
    """
    moved = []
    means = [sentence.object_ids(t) for t in film.times]
    within = round(SHIFT_S * run.fps)
    for t in range(max(1, start), film.length - within):
        old, new = means[t - 1], means[t]
        if old == new or not old or not new or len(set(means[t : t + within])) > 1:
            continue
        chosen = slice(t, t + within + 1)
        ids_THW, masks = film.ids_THW[chosen], mask_THW[chosen]
        on_new, on_old = (region(np.isin(ids_THW, ids), masks) for ids in (new, old))
        moved.append(bool(((on_new >= FOUND) & (on_new > on_old)).any()))
    return moved


def synthetic_table(results: dict, run: SyntheticRun) -> str:
    """The results as Markdown."""
    head = f"{run.videos} {run.worlds} of the split {run.split}, {run.mode}\n"
    lines = [head, markdown(results["rows"])]
    for name, (percent, number) in results["events"].items():
        lines.append(f"{name}: {percent:.1f} % of {number}")
    if results["first_answer_s"] is not None:
        lines.append(f"first answer after {results['first_answer_s']:.2f} s")
    return "\n".join(lines) + "\n"


def _row(values: Sequence[tuple[float, float, float]], rates: Sequence[float]) -> Row:
    j, f, jf_all = (100 * np.mean(values, axis=0)).tolist()
    row = {"sentences": len(values), "J": j, "F": f, "J&F": (j + f) / 2, ALL: jf_all}
    return row | ({RATE: float(np.mean(rates))} if rates else {})


def _share(values: Sequence[float]) -> tuple[float, int]:
    return 100 * float(np.mean(values)), len(values)


def _different(sentences: Sequence[Sentence]) -> tuple[Sentence, Sentence] | None:
    """The first two sentences about different single objects by what they look like."""
    single = [s for s in sentences if s.kind in LOOKS and len(s.object_ids(0.0)) == 1]
    pairs = itertools.product(single, single)
    return next(((s, o) for s, o in pairs if s.object_ids(0.0) != o.object_ids(0.0)), None)
