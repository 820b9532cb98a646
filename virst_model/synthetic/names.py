"""What the actors of a story are called, and which names mean one of them alone."""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import operator
from typing import NamedTuple

import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.grammar import NOUNS, pick
from virst_model.synthetic.sentence import Referents

# Some would say so.
_ALSO_CALLED = {"circle": ("ring",)}


class Name(NamedTuple):
    """What is said of an actor's looks; None is not said. Without a shape it is a "shape"."""

    shape: str | None = None
    colours: tuple[str, ...] | None = None
    size: str | None = None
    texture: str | None = None

    @property
    def words(self) -> int:
        """How many of its four parts it says, 0..4."""
        looks = (self.colours is not None) + (self.texture is not None)
        return (self.shape is not None) + looks + (self.size is not None)

    def shorter(self) -> Iterator[Name]:
        """The names that say one part less."""
        for look in ("shape", "colours", "size", "texture"):
            if getattr(self, look) is not None:
                yield self._replace(**{look: None})

    def bare(self, rng: np.random.Generator, plural: bool = False) -> str:
        """Words for it without an article, drawn with `rng`: small red circle, or circles."""
        noun = self.shape or pick(rng, NOUNS)
        if plural:
            noun = "crosses" if noun == "cross" else noun + "s"
        colour = " and ".join(self.colours) if self.colours else None
        texture, after = self.texture, ""
        if texture in _AFTER and rng.random() < 0.3:
            texture, after = None, _AFTER[texture]
        return " ".join(w for w in (self.size, texture, colour, noun) if w) + after

    def word(self, rng: np.random.Generator) -> str:
        """Words for it with its article, drawn with `rng`: the small red circle."""
        return f"the {self.bare(rng)}"


_words = operator.attrgetter("words")
_AFTER = {"striped": " with stripes", "dotted": " with dots"}


class Names:
    """All names for the actors of a story, and whom they fit.

    `resized` are the ids of those that grow or shrink: nobody can say whether they are big. `of`
    are the names of each actor by its id, those that say less first.
    """

    def __init__(self, actors: tuple[Actor, ...], resized: frozenset[int]) -> None:
        self.everyone = Referents.of(actor.id for actor in actors)
        self._actors = actors
        self._resized = resized
        self._fits: dict[Name, Referents] = {Name(): self.everyone}
        self.of: dict[int, tuple[Name, ...]] = {
            actor.id: tuple(sorted(self._describe(actor), key=_words)) for actor in actors
        }
        self._unique: dict[int, list[Name]] = {}

    def referents(self, name: Name) -> Referents:
        """Whom `name` fits: for sure, and perhaps, as some would call a ring a circle."""
        if name not in self._fits:
            fits = [self._is_called(actor, name) for actor in self._actors]
            ids = [actor.id for actor in self._actors]
            self._fits[name] = Referents.of(
                (i for i, (sure, _) in zip(ids, fits) if sure),
                (i for i, (_, may) in zip(ids, fits) if may),
            )
        return self._fits[name]

    def unique(self, actor: int) -> list[Name]:
        """The names that mean this actor alone, those that need all their words first."""
        if actor not in self._unique:
            mine = [name for name in self.of[actor] if self.referents(name).is_one]
            self._unique[actor] = sorted(mine, key=lambda name: not self.needs_all_words(name))
        return self._unique[actor]

    def needs_all_words(self, name: Name) -> bool:
        """Whether with any word less the name would not mean one actor alone."""
        return not any(self.referents(less).is_one for less in name.shorter())

    def call(self, actor: int, rng: np.random.Generator) -> str | None:
        """Words that mean this actor alone, mostly no more than needed; None: there are none."""
        names = self.unique(actor)
        if not names:
            return None
        needed = [n for n in names if n.words <= names[0].words + (rng.random() < 0.2)]
        return pick(rng, needed).word(rng)

    def _describe(self, actor: Actor) -> Iterator[Name]:
        sizes = (None,) if actor.id in self._resized else (None, actor.size)
        # Nobody says of a plain one that it is plain, nor of two colours that there are no dots.
        textures = (None,) if actor.texture == "plain" else (None, actor.texture)
        for looks in itertools.product(
            (None, actor.shape), (None, actor.colours), sizes, textures
        ):
            yield Name(*looks)

    def _is_called(self, actor: Actor, name: Name) -> tuple[bool, bool]:
        """Whether it is for sure, and perhaps."""
        sure = may = True
        if name.shape is not None and name.shape != actor.shape:
            sure, may = False, actor.shape in _ALSO_CALLED.get(name.shape, ())
        if name.colours is not None and set(name.colours) != set(actor.colours):
            sure, may = False, may and bool(set(name.colours) & set(actor.colours))
        if name.texture is not None and name.texture != actor.texture:
            sure = may = False
        if name.size is not None and actor.id in self._resized:
            sure = False
        elif name.size is not None and name.size != actor.size:
            sure = may = False
        return sure, may
