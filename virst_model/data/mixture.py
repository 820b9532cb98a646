"""Many data sets as one endless row of samples, numbered: what training draws from.

Categories are drawn by their weights (paper A.2), then a data set of the category, then one of its
records. Everything about sample n follows from (seed, n), so that a run can go on in its middle,
and any number of processes shares the row by taking numbers in turn.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import logging
from pathlib import Path
import re
import threading

import numpy as np
from tqdm import tqdm

from virst_model.data.catalogue import (
    CATALOGUE,
    CATEGORY_WEIGHTS,
    VIDEO_QA,
    is_missing,
    locate,
    open_dataset,
)
from virst_model.data.record import Record
from virst_model.data.sample import SEGMENTS, Draw, Sample, draw_sample, has_truth
from virst_model.errors import FileError

# Records in a row that may fail before it is the data set that is at fault.
ATTEMPTS = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Component:
    """A data set in a mixture; `ratio` (above 0) is its share among those of its category."""

    name: str
    category: str
    records: Sequence[Record]
    ratio: float = 1.0

    def __post_init__(self) -> None:
        if not self.ratio > 0:
            raise ValueError(f"ratio of {self.name} is {self.ratio}, must be above 0")


class Mixture:
    """Sources, drawn from by number. `draw` may be called by several threads at once.

    Attributes:
        components: those that have something to train on, with nothing else in them.
        shares: of each component, how often it is drawn; they sum up to 1.
        skipped: records that could not be read so far, by reason.
    """

    def __init__(self, components: Sequence[Component], seed: int = 0, sentences: int = 3) -> None:
        """At most `sentences` of a record are asked at once.

        Raises ValueError where no component has anything to train on.
        """
        self.components = tuple(taught for taught in map(_taught, components) if taught.records)
        if not self.components:
            raise ValueError("no data set has a record to train on")
        for category in CATEGORY_WEIGHTS:
            if all(component.category != category for component in self.components):
                _log.warning("no data of the category %s: the others are drawn more", category)
        self.shares = _shares(self.components)
        self.skipped: Counter[str] = Counter()
        self._seed, self._sentences = seed, sentences
        self._lock = threading.Lock()

    @property
    def in_words(self) -> bool:
        """Whether a model learns to answer in words from it."""
        return any(component.category == VIDEO_QA for component in self.components)

    def draw(self, number: int, frames: int, spacing: str = SEGMENTS) -> Sample:
        """Sample `number` (0, 1, ...) with `frames` frames: the same whenever it is drawn.

        `spacing` is one of `virst_model.data.sample.SPACINGS`; an image has one frame. Another
        record stands in for one that cannot be read.

        Raises:
            FileError: none of ATTEMPTS records in a row can be read; the last one's.
        """
        draw = Draw(frames, self._sentences, spacing)
        rng = np.random.default_rng([self._seed, number])
        for _ in range(ATTEMPTS):
            component = self.components[int(rng.choice(len(self.components), p=self.shares))]
            record = component.records[int(rng.integers(len(component.records)))]
            try:
                return draw_sample(component.name, record, draw, rng)
            except FileError as error:
                last = error
                self._skip(error)
        raise last

    def _skip(self, error: FileError) -> None:
        reason = re.sub(r"[0-9]+", "#", error.reason)  # another size is no other reason
        with self._lock:
            self.skipped[reason] += 1
            first = self.skipped[reason] == 1
        if first:
            _log.warning("skipped, as will be all others of that reason: %s", error)


def open_mixture(
    root: str | Path,
    seed: int = 0,
    sentences: int = 3,
    sets: Sequence[str] = (),
    ratios: Mapping[str, float] | None = None,
) -> Mixture:
    """The training splits of data sets of the catalogue that lie under `root`.

    Args:
        sets: their names; empty is all that have a ratio, or where none is there that has one,
            all that are there. Own footage and synthetic videos have none of their own.
        ratios: name -> share among its category, in place of the catalogue's (the five RVOS sets
            have 25400 together); 0 leaves a data set out. One that `sets` names and nothing gives
            a ratio has the mean of the others of its category, or 1.

    Raises:
        FileError: a data set is damaged or not there, or there is none.
    """
    if not Path(root).is_dir():
        raise FileError(root, "no such folder; it would hold the data sets (docs/datasets.md)")
    ratios = dict(ratios or {})
    for name in (*sets, *ratios):
        if name not in CATALOGUE:
            raise FileError(root, f"no data set is called {name}; {', '.join(CATALOGUE)} are")
    chosen = choose_sets(root, sets, ratios)
    records: dict[str, list[Record]] = {}
    for name in tqdm(chosen, "data sets", disable=None):
        try:
            records[name] = open_dataset(name, root, CATALOGUE[name].splits[0]).records
        except FileError as error:
            if name in sets or not is_missing(error):
                raise
            _log.warning("%s is left out: %s", name, error)
    try:
        components = [
            Component(n, CATALOGUE[n].category, rs, chosen[n]) for n, rs in records.items()
        ]
        return Mixture(components, seed, sentences)
    except ValueError as error:
        advice = f"`virst data check {root}` says what is there"
        raise FileError(root, f"{error}; {advice}") from None


def choose_sets(
    root: str | Path, sets: Sequence[str], ratios: Mapping[str, float]
) -> dict[str, float]:
    """The data sets to train on, in the catalogue's order, with their ratios: see open_mixture."""
    there = [name for name in CATALOGUE if locate(name, root) is not None]
    ratio_of = {name: ratios.get(name, dataset.ratio) for name, dataset in CATALOGUE.items()}
    wanted = sets or [name for name in there if ratio_of[name]] or there
    named = [name for name in CATALOGUE if name in wanted and ratios.get(name) != 0]
    for name in there:
        if not sets and name not in named and name not in ratios:
            _log.warning("%s is left out (%s): name it in sets=", name, locate(name, root))
    return {name: ratio_of[name] or _mean_ratio(name, named, ratio_of) for name in named}


def _mean_ratio(name: str, among: Sequence[str], ratios: Mapping[str, float]) -> float:
    """Of those that are in the category of `name` and have one; else 1."""
    others = [n for n in among if CATALOGUE[n].category == CATALOGUE[name].category and ratios[n]]
    return sum(ratios[n] for n in others) / len(others) if others else 1.0


def _taught(component: Component) -> Component:
    return replace(component, records=[r for r in component.records if has_truth(r)])


def _shares(components: Sequence[Component]) -> np.ndarray:
    """(S,): the category's weight among those that are there, times the share within it."""
    total = Counter()
    for component in components:
        total[component.category] += component.ratio
    shares = [CATEGORY_WEIGHTS[s.category] * s.ratio / total[s.category] for s in components]
    return np.array(shares) / np.sum(shares)
