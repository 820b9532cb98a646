"""Chooses what is said about a story."""

from __future__ import annotations

from collections.abc import Iterator
import itertools

import numpy as np

from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.sentences_absent import tell_absent
from virst_model.synthetic.sentences_events import tell_motions, tell_times
from virst_model.synthetic.sentences_looks import (
    tell_attributes,
    tell_plurals,
    tell_relations,
    tell_superlatives,
)
from virst_model.synthetic.sentences_reasoning import tell_reasonings
from virst_model.synthetic.sentences_shifting import tell_shifts
from virst_model.synthetic.timeline import Chronicle

# In the order of KINDS; `shift` and `none` follow.
_TELLERS = (
    tell_attributes,
    tell_relations,
    tell_superlatives,
    tell_plurals,
    tell_motions,
    tell_times,
    tell_reasonings,
)
_TRIES = 30


def tell(
    chronicle: Chronicle, split: str, rng: np.random.Generator, per_kind: int
) -> tuple[Sentence, ...]:
    """Up to `per_kind` different sentences of each of KINDS, in that order."""
    said: list[Sentence] = []
    for teller in _TELLERS:
        claims = itertools.islice(teller(chronicle, rng), _TRIES)
        said += _different((c.sentence() for c in claims if c.holds), per_kind)
    said += _different(tell_shifts(chronicle, rng), per_kind)
    claims = itertools.islice(tell_absent(chronicle, split, rng), _TRIES)
    said += _different((c.sentence() for c in claims if not c.fit.may), per_kind)
    return tuple(said)


def _different(sentences: Iterator[Sentence], count: int) -> list[Sentence]:
    by_text: dict[str, Sentence] = {}
    for sentence in sentences:
        if len(by_text) == count:
            break
        by_text.setdefault(sentence.text, sentence)
    return list(by_text.values())
