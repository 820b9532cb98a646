"""What an actor does, action after action, and where that puts it at every tick.

Places are complex numbers in heights of the frame: x in [0, WIDE], y in [0, 1] with y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.camera import WIDE

TICK_S = 0.1
WAYS = {"left": -1.0 + 0j, "right": 1.0 + 0j, "up": -1j, "down": 1j}
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}

# Odd, so that at no tick it is half there.
_FADE = 5  # ticks
_OUT = 0.05  # how far outside of the frame it goes, heights


@dataclass(frozen=True)
class Action:
    """Something done, from tick `start` to tick `end`.

    Attributes:
        verb: stand, go, circle, grow, shrink, spin, vanish, appear, leave, enter, follow, bounce.
        way: one of WAYS where it goes, leaves or enters.
        other: id of the actor that it follows or bounces off; 0 for other verbs.
    """

    verb: str
    start: int
    end: int
    way: str = ""
    other: int = 0


class Trajectory:
    """Where one actor is, while its actions are added one after the other, from tick 0 on.

    Every method adds an action of `ticks` ticks. What does not fit in before `length` is left out,
    with False for an answer, so that none ends in the middle.
    """

    def __init__(self, actor: Actor, at: complex, length: int) -> None:
        self.actor = actor
        self.length = length
        self.now = 0
        self.actions: list[Action] = []
        self.centres = np.full(length, at)
        self.turns = np.full(length, actor.radius * np.exp(1j * actor.angle))
        self.opacities = np.ones(length)

    @property
    def at(self) -> complex:
        """Its centre at the tick `now`, in heights."""
        return complex(self.centres[self.now])

    @property
    def reach(self) -> float:
        """How far it reaches from its centre now, in heights."""
        return self.actor.extent * abs(self.turns[self.now]) / self.actor.radius

    def room(self, way: str) -> float:
        """How far it can go that way and stay inside of the frame."""
        x, y, reach = self.at.real, self.at.imag, self.reach
        ends = {"left": x, "right": WIDE - x, "up": y, "down": 1 - y}
        return ends[way] - reach

    def stand(self, ticks: int) -> bool:
        """Does nothing, for `ticks` ticks."""
        return self._add("stand", ticks)

    def rest(self) -> None:
        """Does nothing until the end."""
        self._add("stand", self.length - 1 - self.now)

    def go(self, way: str, distance: float, ticks: int, drift: float = 0.0) -> bool:
        """Goes `distance` heights straight on, with `drift` of it sideways."""
        step = WAYS[way] * complex(1, drift) * distance
        return self._add("go", ticks, centres=self.at + step * _ramp(ticks), way=way)

    def circle(self, radius: float, turns: float, ticks: int, phase: float) -> bool:
        """Goes round and round; `phase` is where on the circle it begins, in radians."""
        spoke = radius * np.exp(1j * phase)
        round_ = np.exp(2j * np.pi * turns * _ramp(ticks)) - 1
        return self._add("circle", ticks, centres=self.at + spoke * round_)

    def resize(self, factor: float, ticks: int) -> bool:
        """Grows or shrinks to `factor` times its size."""
        turns = self.turns[self.now] * factor ** _ramp(ticks)
        return self._add("grow" if factor > 1 else "shrink", ticks, turns=turns)

    def spin(self, angle: float, ticks: int) -> bool:
        """Turns on the spot, by `angle` radians."""
        return self._add(
            "spin", ticks, turns=self.turns[self.now] * np.exp(1j * angle * _ramp(ticks))
        )

    def vanish(self) -> bool:
        """Fades away: its opacity falls from 1 to 0."""
        return self._add("vanish", _FADE, opacities=1 - _ramp(_FADE))

    def appear(self) -> bool:
        """Is there again where it faded: its opacity rises from 0 to 1."""
        return self._add("appear", _FADE, opacities=_ramp(_FADE))

    def leave(self, way: str, speed: float) -> bool:
        """Goes out of the frame that way, at `speed` heights a tick."""
        distance = self.room(way) + 2 * self.reach + _OUT
        ticks = max(2, round(distance / speed))
        centres = self.at + WAYS[way] * distance * _ramp(ticks)
        return self._add("leave", ticks, centres=centres, way=way)

    def enter(self, way: str, to: complex, speed: float) -> bool:
        """Comes from outside into the frame and on to `to`, at `speed` heights a tick."""
        ticks = max(2, round(abs(to - self.at) / speed))
        return self._add("enter", ticks, centres=self.at + (to - self.at) * _ramp(ticks), way=way)

    def follow(self, leader: int, centres: np.ndarray) -> bool:
        """Goes after the actor of id `leader`, through `centres` (ticks,), a place a tick."""
        return self._add("follow", len(centres), centres=centres, other=leader)

    def bounce(self, other: int) -> None:
        """Is hit by the actor of id `other`, now; that takes no time."""
        self.actions.append(Action("bounce", self.now, self.now, other=other))

    def _add(
        self,
        verb: str,
        ticks: int,
        centres: np.ndarray | None = None,
        turns: np.ndarray | None = None,
        opacities: np.ndarray | None = None,
        way: str = "",
        other: int = 0,
    ) -> bool:
        start, end = self.now, self.now + ticks
        if ticks < 1 or end >= self.length:
            return False
        paths = ((self.centres, centres), (self.turns, turns), (self.opacities, opacities))
        for path, new in paths:
            if new is not None:
                path[start + 1 : end + 1] = new
                path[end + 1 :] = new[-1]
        self.actions.append(Action(verb, start, end, way, other))
        self.now = end
        return True


def _ramp(ticks: int) -> np.ndarray:
    """From just after 0 to 1, in equal steps."""
    return np.arange(1, ticks + 1) / ticks
