"""What was to be seen in a story: places, who hides whom, who moves, and when things happened."""

from __future__ import annotations

from collections.abc import Iterator
import copy
import functools

import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.camera import WIDE
from virst_model.synthetic.names import Names
from virst_model.synthetic.shapes import Path, figure, gap, places, seen_in
from virst_model.synthetic.trajectory import TICK_S, WAYS, Action, Trajectory

SEEN, GONE = 0.5, 0.015  # shares of an actor: at least this is to be seen, at most that is not
_DOUBTFUL = 0.4  # of an actor that falls below this some would say that it was hidden
_MOVES = 0.05  # heights a second
_PAUSE = 5  # ticks: what stands still for less has not stopped


class Timeline:
    """Arrays (A, T) over the actors, in order of their ids from 1, and the ticks.

    Attributes:
        centres, turns: complex, as in a path of `shapes`.
        opacities: 0..1.
        actions: what each of the actors does, in order of time.
    """

    def __init__(self, actors: tuple[Actor, ...], trajectories: list[Trajectory]) -> None:
        self.actors = actors
        self.centres = np.stack([trajectory.centres for trajectory in trajectories])
        self.turns = np.stack([trajectory.turns for trajectory in trajectories])
        self.opacities = np.stack([trajectory.opacities for trajectory in trajectories])
        self.actions: tuple[tuple[Action, ...], ...] = tuple(
            tuple(trajectory.actions) for trajectory in trajectories
        )
        self.ids = tuple(actor.id for actor in actors)
        self.ticks = self.centres.shape[1]
        self._gaps: dict[tuple[int, int], np.ndarray] = {}

    def poses(self, t_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centres, turns and opacities, (A,) each, at `t_s`; outside of the story its ends."""
        tick, share = divmod(min(max(t_s / TICK_S, 0.0), self.ticks - 1.0), 1)
        now, then = int(tick), min(int(tick) + 1, self.ticks - 1)
        arrays = (self.centres, self.turns, self.opacities)
        return tuple(array[:, now] * (1 - share) + array[:, then] * share for array in arrays)

    def recast(self, actors: tuple[Actor, ...]) -> Timeline:
        """The same with actors who look otherwise; each has the shape and the size of before."""
        recast = copy.copy(self)
        recast.__dict__.pop("names", None)
        recast.actors = actors
        return recast

    @functools.cached_property
    def names(self) -> Names:
        """What the actors are called; who grows or shrinks is neither big nor small."""
        resized = {"grow", "shrink"}
        who = (
            i
            for i, actions in zip(self.ids, self.actions)
            if any(a.verb in resized for a in actions)
        )
        return Names(self.actors, frozenset(who))

    @functools.cached_property
    def visibility(self) -> np.ndarray:
        """(A, T) the share of each actor that is to be seen, 0..1."""
        return self._sight[0]

    @functools.cached_property
    def middles(self) -> np.ndarray:
        """(A, T) complex: the middle of what is to be seen of each; nan where there is nothing."""
        return self._sight[1]

    @functools.cached_property
    def covers(self) -> np.ndarray:
        """(A, A, T) the share of the first that the second hides, 0..1."""
        return self._sight[2]

    @functools.cached_property
    def moving(self) -> np.ndarray:
        """(A, T) bool: whether it is on its way at that tick."""
        speed = self.speeds > _MOVES
        return np.concatenate([speed, speed[:, -1:]], axis=1)

    @functools.cached_property
    def speeds(self) -> np.ndarray:
        """(A, T - 1) heights a second."""
        return abs(np.diff(self.centres, axis=1)) / TICK_S

    @functools.cached_property
    def largest(self) -> np.ndarray:
        """(A,) the largest radius that each ever has, in heights."""
        return abs(self.turns).max(axis=1)

    @property
    def everyone_is_seen(self) -> bool:
        """Whether every actor is to be seen for a second at least (less in short stories)."""
        return bool(((self.visibility >= SEEN).sum(axis=1) >= min(10, self.ticks // 2)).all())

    def path(self, actor: int) -> Path:
        """Centres and turns, (T,) each, of the actor of this id: a path of `shapes`."""
        return self.centres[actor - 1], self.turns[actor - 1]

    def gap(self, one: int, other: int) -> np.ndarray:
        """(T,) how far two actors are apart, by their ids, as in `shapes.gap`."""
        pair = (min(one, other), max(one, other))
        if pair not in self._gaps:
            figures = [figure(self.actors[i - 1].shape) for i in pair]
            paths = [self.path(i) for i in pair]
            self._gaps[pair] = gap(figures[0], paths[0], figures[1], paths[1])
        return self._gaps[pair]

    def actions_of(self, *verbs: str) -> Iterator[tuple[int, Action]]:
        """(id of the actor, action) of all actions of these verbs."""
        for actor, actions in zip(self.ids, self.actions):
            yield from ((actor, action) for action in actions if action.verb in verbs)

    def is_seen(self, actor: int, action: Action) -> bool:
        """Whether it was well to be seen; where it begins or ends unseen, the rest of it."""
        visibility = self.visibility[actor - 1, action.start : action.end + 1]
        if action.verb in ("vanish", "leave"):
            return bool(visibility[0] >= SEEN and self._is_steady(visibility[::-1]))
        if action.verb in ("appear", "enter"):
            return bool(visibility[-1] >= SEEN and self._is_steady(visibility))
        return bool(visibility.min() >= _DOUBTFUL)

    def _is_steady(self, visibility: np.ndarray) -> bool:
        return bool((np.diff(visibility) >= -0.1).all())

    def excursions(self, way: str) -> np.ndarray:
        """(A,) the furthest that each ever goes that way, in heights."""
        progress = (self.centres * np.conj(WAYS[way])).real
        return (progress - np.minimum.accumulate(progress, axis=1)).max(axis=1)

    @functools.cached_property
    def hidings(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """By actor, (tick at which nothing is to be seen, tick at which it is again).

        Those that are not there at the beginning were gone at -1, those that do not come back
        are back at T.
        """
        return tuple(tuple(self._hidings(visibility)) for visibility in self.visibility)

    @functools.cached_property
    def half_hidden(self) -> frozenset[int]:
        """Ids of those of which so little was to be seen that some would say they disappeared."""
        half = set()
        for actor, visibility in zip(self.ids, self.visibility):
            for start, end in stretches(visibility < SEEN):
                if GONE < visibility[start:end].min() < _DOUBTFUL:
                    half.add(actor)
        return frozenset(half)

    def _hidings(self, visibility: np.ndarray) -> Iterator[tuple[int, int]]:
        for start, end in stretches(visibility < SEEN):
            gone = np.flatnonzero(visibility[start:end] <= GONE)
            if gone.size:
                yield (start + int(gone[0]) if start else -1), end

    @functools.cached_property
    def stops(self) -> tuple[tuple[int, ...], ...]:
        """By actor, the ticks at which it is seen to stop, for a while."""
        return self._changes(self.moving)

    @functools.cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """By actor, the ticks at which it is seen to begin to move, having stood for a while."""
        # Seen backwards, a start is a stop.
        back = self._changes(self.moving[:, ::-1], self.visibility[:, ::-1])
        return tuple(tuple(sorted(self.ticks - 1 - t for t in ticks)) for ticks in back)

    def _changes(
        self, moving: np.ndarray, visibility: np.ndarray | None = None
    ) -> tuple[tuple[int, ...], ...]:
        visibility = self.visibility if visibility is None else visibility
        changes = []
        for moves, visible in zip(moving, visibility):
            ends = [end for _, end in stretches(moves) if end < self.ticks and visible[end] > GONE]
            changes.append(tuple(ends))
        return tuple(changes)

    @functools.cached_property
    def half_stopped(self) -> frozenset[int]:
        """Ids of those that stop or start half hidden or for a moment only."""
        half = set()
        for actor, moves, visible in zip(self.ids, self.moving, self.visibility):
            for start, end in stretches(~moves):
                stop, go = visible[start:end][:_PAUSE], visible[start:end][-_PAUSE:]
                looks = [stop] * (start > 0) + [go] * (end < self.ticks)
                for look in looks:
                    brief = end - start < _PAUSE or look.min() < _DOUBTFUL
                    if look.max() > GONE and brief:
                        half.add(actor)
        return frozenset(half)

    @functools.cached_property
    def _sight(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = len(self.actors)
        visibility = np.zeros((count, self.ticks))
        middles = np.zeros((count, self.ticks), complex)
        covers = np.zeros((count, count, self.ticks))
        figures = [figure(actor.shape) for actor in self.actors]
        reach = abs(self.turns) * np.array([f.extent for f in figures])[:, None]
        there = self.opacities >= 0.5
        for back in range(count):
            spots = places(figures[back].inside, (self.centres[back], self.turns[back]))
            x, y = spots.real, spots.imag
            free = (x >= 0) & (x <= WIDE) & (y >= 0) & (y <= 1) & there[back][:, None]
            for front in range(back + 1, count):
                apart = abs(self.centres[back] - self.centres[front]) - reach[back] - reach[front]
                near = np.flatnonzero((apart < 0) & there[front])
                if near.size:
                    path = (self.centres[front, near], self.turns[front, near])
                    hidden = seen_in(figures[front], path, spots[near]) < 0
                    covers[back, front, near] = hidden.mean(axis=1)
                    free[near] &= ~hidden
            visibility[back] = free.mean(axis=1)
            total = np.maximum(free.sum(axis=1), 1)
            middles[back] = np.where(free.any(axis=1), (spots * free).sum(axis=1) / total, np.nan)
        return visibility, middles, covers


def stretches(on: np.ndarray) -> list[tuple[int, int]]:
    """(first tick, tick after the last) of every stretch in which `on` (T,) is true."""
    padded = np.zeros(len(on) + 2, bool)
    padded[1:-1] = on
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2]))
