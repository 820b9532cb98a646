"""What happens in a story: which actors meet, what each does alone, and who stands where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.camera import WIDE
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.shapes import figure, gap
from virst_model.synthetic.trajectory import OPPOSITE, WAYS, Trajectory

# Two actors, by their places in the story, the one behind first.
Meeting = tuple[str, int, int]

_TRIES = 4
_LEAST_GO = 0.16  # heights: less is not seen as going somewhere
_MEETING_TICKS = 45
_SPEED = (0.012, 0.034)  # heights a tick


def draw_meetings(count: int, length: int, rng: np.random.Generator) -> list[Meeting]:
    """At most two pairs of `count` actors that collide, follow or pass behind each other.

    In a story of few ticks (`length`) there is no time for that.
    """
    if length < _MEETING_TICKS:
        return []
    order = [int(i) for i in rng.permutation(count)]
    pairs = int(rng.choice([0, 1, 2], p=(0.25, 0.55, 0.2)))
    meetings = []
    for i in range(min(pairs, count // 2)):
        back, front = sorted(order[2 * i : 2 * i + 2])
        meetings.append((pick(rng, ("collide", "follow", "pass", "hide")), back, front))
    return meetings


def draw_sizes(count: int, meetings: list[Meeting], rng: np.random.Generator) -> list[str]:
    """ "big" or "small" for each actor; at most two big ones where there are four or more."""
    sizes = ["big" if rng.random() < 0.45 else "small" for _ in range(count)]
    for kind, back, front in meetings:
        if kind in ("pass", "hide"):
            sizes[back], sizes[front] = "small", "big"
        elif kind == "follow":  # two big ones have no room to go anywhere
            sizes[back] = sizes[front] = "small"
    fixed = {i for _, *pair in meetings for i in pair}
    spare = [i for i in range(count) if sizes[i] == "big" and i not in fixed]
    while count >= 4 and sizes.count("big") > 2 and spare:
        sizes[spare.pop()] = "small"
    return sizes


def draw_trajectories(
    actors: tuple[Actor, ...], meetings: list[Meeting], length: int, rng: np.random.Generator
) -> list[Trajectory]:
    """The trajectories of the actors, `length` ticks each.

    Who does not meet keeps out of the others' way. That is best effort: of a few drafts of each,
    the one that comes least near is taken.
    """
    trajectories: dict[int, Trajectory] = {}
    for kind, back, front in meetings:
        pair = (actors[back], actors[front])
        _draw_clear(trajectories, lambda k=kind, p=pair: _MEETINGS[k](*p, length, rng))
    for actor in actors:
        if actor.id not in trajectories:
            _draw_clear(trajectories, lambda a=actor: (_solo(a, length, rng),))
    return [trajectories[actor.id] for actor in actors]


def _draw_clear(
    trajectories: dict[int, Trajectory], draft: Callable[[], tuple[Trajectory, ...]]
) -> None:
    best, most = (), -np.inf
    for _ in range(_TRIES):
        drafted = draft()
        least = min(
            (_clearance(new, old) for new in drafted for old in trajectories.values()), default=0
        )
        if least > most:
            best, most = drafted, least
        if least >= 0:
            break
    trajectories.update({trajectory.actor.id: trajectory for trajectory in best})


def _clearance(one: Trajectory, other: Trajectory) -> float:
    """How far the circles around two actors stay apart, in heights; never more than 0."""
    reach = one.actor.extent * abs(one.turns) / one.actor.radius
    reach = reach + other.actor.extent * abs(other.turns) / other.actor.radius
    apart = abs(one.centres - other.centres) - 0.9 * reach
    return min(0.0, float(apart.min()))


def _somewhere(actor: Actor, rng: np.random.Generator) -> complex:
    """A place inside of the frame."""
    reach = actor.extent + 0.01
    return complex(rng.uniform(reach, WIDE - reach), rng.uniform(reach, 1 - reach))


def _solo(actor: Actor, length: int, rng: np.random.Generator) -> Trajectory:
    """It stands there all the time, or does one to three things (more in a long story)."""
    if rng.random() < 0.12:
        trajectory = _come_in(actor, length, rng)
    else:
        trajectory = Trajectory(actor, _somewhere(actor, rng), length)
        if rng.random() < 0.2:
            trajectory.rest()
            return trajectory
    trajectory.stand(int(rng.integers(3, 14)))
    done: set[str] = set()
    for _ in range(int(rng.integers(1, 4)) + length // 80):
        predicate = str(rng.choice(_SOLO, p=_SHARES))
        # Once is enough for all but going: "the shape that grows" grows once.
        if predicate in done:
            continue
        done |= {predicate} - {"go"}
        _DRAWN[predicate](trajectory, rng)
        if rng.random() < 0.75:
            trajectory.stand(int(rng.integers(7, 14)))
    trajectory.rest()
    return trajectory


def _come_in(actor: Actor, length: int, rng: np.random.Generator) -> Trajectory:
    to = _somewhere(actor, rng)
    way = "left" if to.real < WIDE / 2 else "right"  # from the far side: it is seen to come
    outside = WIDE + actor.extent + 0.05 if way == "left" else -actor.extent - 0.05
    trajectory = Trajectory(actor, complex(outside, to.imag), length)
    trajectory.stand(int(rng.integers(3, 12)))
    trajectory.enter(way, to, float(rng.uniform(*_SPEED)))
    return trajectory


def _free_way(
    trajectory: Trajectory, rng: np.random.Generator, least: float
) -> tuple[str, float] | None:
    """A way with at least `least` heights of room, and how much there is."""
    ways = [(way, trajectory.room(way)) for way in WAYS]
    ways = [(way, room) for way, room in ways if room >= least]
    return pick(rng, ways) if ways else None


def _go(trajectory: Trajectory, rng: np.random.Generator) -> str | None:
    """Which way it went, or None where there is no room."""
    free = _free_way(trajectory, rng, _LEAST_GO)
    if free is None:
        return None
    way, room = free
    distance = float(rng.uniform(_LEAST_GO, min(room, 0.7)))
    ticks = round(distance / rng.uniform(*_SPEED))
    sideways = (rng.random() < 0.4) * rng.uniform(-0.07, 0.07)
    return way if trajectory.go(way, distance, max(ticks, 5), sideways) else None


def _turn_back(trajectory: Trajectory, rng: np.random.Generator) -> None:
    before = trajectory.at
    way = _go(trajectory, rng)
    if way is not None:
        distance = max(abs(trajectory.at - before) * rng.uniform(0.6, 1.0), _LEAST_GO)
        trajectory.go(OPPOSITE[way], distance, max(5, round(distance / rng.uniform(*_SPEED))))


def _circle(trajectory: Trajectory, rng: np.random.Generator) -> None:
    phase = rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(0.09, 0.17)
    # Where the circle's middle would leave too little room, it goes around the frame's side of it.
    middle = trajectory.at - radius * np.exp(1j * phase)
    reach = trajectory.reach + radius
    if not (reach < middle.real < WIDE - reach and reach < middle.imag < 1 - reach):
        phase = np.angle(trajectory.at - complex(WIDE / 2, 0.5))
    turns = float(rng.choice([1.0, 1.25, 1.5, 2.0]) * rng.choice([-1, 1]))
    trajectory.circle(radius, turns, round(abs(turns) * rng.uniform(15, 26)), phase)


def _grow(trajectory: Trajectory, rng: np.random.Generator) -> None:
    if trajectory.actor.size == "small":
        trajectory.resize(rng.uniform(1.6, 1.95), int(rng.integers(7, 14)))


def _shrink(trajectory: Trajectory, rng: np.random.Generator) -> None:
    if trajectory.actor.size == "big":
        trajectory.resize(rng.uniform(0.45, 0.6), int(rng.integers(7, 14)))


def _spin(trajectory: Trajectory, rng: np.random.Generator) -> None:
    # A turning circle looks like a circle that stands still.
    if trajectory.actor.shape not in ("circle", "ring"):
        ticks = int(rng.integers(8, 18))
        trajectory.spin(ticks * rng.uniform(0.18, 0.3) * rng.choice([-1, 1]), ticks)


def _vanish(trajectory: Trajectory, rng: np.random.Generator) -> None:
    if trajectory.vanish() and rng.random() < 0.7 and trajectory.stand(int(rng.integers(8, 16))):
        trajectory.appear()
    else:
        trajectory.rest()


def _leave(trajectory: Trajectory, rng: np.random.Generator) -> None:
    back, way = trajectory.at, pick(rng, tuple(WAYS))
    if not trajectory.leave(way, float(rng.uniform(0.02, 0.045))):
        return
    if rng.random() < 0.4 and trajectory.stand(int(rng.integers(5, 12))):
        trajectory.enter(OPPOSITE[way], back, float(rng.uniform(0.02, 0.045)))
    else:
        trajectory.rest()


_DRAWN = {
    "go": _go,
    "turn_back": _turn_back,
    "circle": _circle,
    "grow": _grow,
    "shrink": _shrink,
    "spin": _spin,
    "vanish": _vanish,
    "leave": _leave,
}
_SOLO = tuple(_DRAWN)
_SHARES = (0.36, 0.12, 0.12, 0.08, 0.08, 0.06, 0.1, 0.08)


def _collide(
    one: Actor, other: Actor, length: int, rng: np.random.Generator
) -> tuple[Trajectory, ...]:
    """They stand, go towards each other, bounce and go back a little."""
    # From top to bottom big ones have no room for a run.
    is_low = one.size == other.size == "small" and rng.random() < 0.5
    way = pick(rng, ("up", "down") if is_low else ("left", "right"))
    to = WAYS[way]
    apart = _touching_distance(one, other, to)
    span = (WIDE if way in ("left", "right") else 1.0) - one.extent - other.extent - apart
    run = np.array(rng.uniform(0.18, 0.3, 2))
    run *= min(1.0, 0.95 * span / run.sum())
    ticks = int(rng.integers(8, 15))
    slack = span - run.sum()
    begin = one.extent + rng.uniform(0.02, 0.98) * slack
    side = max(one.extent, other.extent) + 0.01
    across = rng.uniform(side, (1.0 if way in ("left", "right") else WIDE) - side)
    if way in ("left", "up"):  # it comes from the far side
        begin = span + one.extent + other.extent + apart - begin
    start = complex(begin, across) if way in ("left", "right") else complex(across, begin)
    trajectories = (
        Trajectory(one, start, length),
        Trajectory(other, start + to * (apart + run.sum()), length),
    )
    wait = int(rng.integers(2, max(3, length - 2 * ticks - 12)))
    for trajectory, distance, ahead in zip(trajectories, run, (way, OPPOSITE[way])):
        partner = trajectories[trajectory is trajectories[0]].actor.id
        trajectory.stand(wait)
        trajectory.go(ahead, float(distance), ticks)
        trajectory.bounce(partner)
        trajectory.go(OPPOSITE[ahead], float(distance) * rng.uniform(0.75, 1.0), ticks)
        trajectory.rest()
    return trajectories


def _touching_distance(one: Actor, other: Actor, way: complex) -> float:
    """How far apart the centres are when `other`, which lies `way` of `one`, just touches it."""
    apart = np.linspace(0.3, 1.0, 40) * (one.extent + other.extent)
    paths = [
        (centres, np.full(len(apart), actor.radius * np.exp(1j * actor.angle)))
        for actor, centres in ((one, np.zeros(len(apart), complex)), (other, way * apart))
    ]
    gaps = gap(figure(one.shape), paths[0], figure(other.shape), paths[1])
    overlapping = np.flatnonzero(gaps < 0.002)
    return float(apart[min(overlapping[-1] + 1, len(apart) - 1)])


def _follow(
    one: Actor, other: Actor, length: int, rng: np.random.Generator
) -> tuple[Trajectory, ...]:
    """The first goes along, maybe around a corner; the second keeps its distance behind it."""
    leader, follower = (one, other) if rng.random() < 0.5 else (other, one)
    behind = 1.1 * (one.extent + other.extent) + rng.uniform(0.02, 0.08)
    way = pick(rng, ("left", "right"))
    to = WAYS[way]
    far = max(WIDE - leader.extent - follower.extent - behind, 0.2)
    distance = float(rng.uniform(0.7, 1.0) * far)
    begin = follower.extent + behind + rng.uniform(0, 1) * (far - distance)
    side = max(one.extent, other.extent) + 0.01
    start = complex(begin if way == "right" else WIDE - begin, rng.uniform(side, 1 - side))
    lead = Trajectory(leader, start, length)
    speed = rng.uniform(0.018, 0.03)
    lead.stand(int(rng.integers(2, 10)))
    first = lead.now
    lead.go(way, distance, max(6, round(distance / speed)))
    turn = max(("up", "down"), key=lead.room)
    if rng.random() < 0.5 and lead.room(turn) > _LEAST_GO:
        more = float(rng.uniform(_LEAST_GO, lead.room(turn)))
        lead.go(turn, more, max(5, round(more / speed)))
    last = lead.now
    lead.rest()
    follow = Trajectory(follower, start - to * behind, length)
    follow.stand(first)
    way_so_far = np.append(0.0, np.cumsum(abs(np.diff(lead.centres[first : last + 1]))))
    at = way_so_far[1:] - behind
    known = np.append(-behind, way_so_far)
    corners = np.append(start - to * behind, lead.centres[first : last + 1])
    follow.follow(
        leader.id, np.interp(at, known, corners.real) + 1j * np.interp(at, known, corners.imag)
    )
    follow.rest()
    return (lead, follow)


def _pass(
    back: Actor, front: Actor, length: int, rng: np.random.Generator
) -> tuple[Trajectory, ...]:
    """The first passes behind the second, from one side to the other."""
    return _go_behind(back, front, length, 0, rng)


def _hide(
    back: Actor, front: Actor, length: int, rng: np.random.Generator
) -> tuple[Trajectory, ...]:
    """The first goes behind the second, stays there a while and goes on."""
    return _go_behind(back, front, length, int(rng.integers(5, 11)), rng)


def _go_behind(
    back: Actor, front: Actor, length: int, stay: int, rng: np.random.Generator
) -> tuple[Trajectory, ...]:
    way = pick(rng, ("left", "right"))
    clear = front.extent + back.extent + 0.03
    margin = clear + back.extent + 0.01
    middle = complex(
        rng.uniform(margin, WIDE - margin), rng.uniform(front.extent, 1 - front.extent)
    )
    still = Trajectory(front, middle, length)
    still.rest()
    offset = 1j * rng.uniform(-0.2, 0.2) * back.radius
    going = Trajectory(back, middle + offset - WAYS[way] * clear, length)
    ticks = max(6, round(clear / rng.uniform(*_SPEED)))
    ticks = min(ticks, (length - stay - 8) // 2)
    going.stand(int(rng.integers(2, max(3, length - 2 * ticks - stay - 5))))
    if stay:
        going.go(way, clear, ticks)
        going.stand(stay)
        going.go(way, clear, ticks)
    else:
        going.go(way, 2 * clear, 2 * ticks)
    going.rest()
    return (going, still)


_MEETINGS = {"collide": _collide, "follow": _follow, "pass": _pass, "hide": _hide}
