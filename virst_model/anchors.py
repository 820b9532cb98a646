"""Temporal Dynamic Anchor Updater: which frames are anchors, and which anchors a frame reads.

Pure functions of frame numbers (Sec. 3.3, Alg. 2 of arXiv 2603.27060).
"""

from collections.abc import Iterable

import torch

RULES = ("nearest", "released")


def anchor_indices(frames: int) -> list[int]:
    """Evenly spaced anchor candidates of a window: max(1, T // 4) of `frames` >= 1 frames.

    Rounded half to even, from the first frame to the last (released `select_keyframes`).
    """
    if frames < 1:
        raise ValueError(f"a window needs at least 1 frame, not {frames}")
    count = max(1, frames // 4)
    return torch.linspace(0, frames - 1, count).round().long().tolist()


def select_anchors(t: int, candidates: Iterable[int], alpha: int, rule: str) -> list[int]:
    """The at most `alpha` anchors that frame `t` reads, nearest first where the order is ours.

    Args:
        t: the frame that reads.
        candidates: anchor times, in the order in which they were made.
        alpha: how many anchors a frame reads, >= 1.
        rule: "nearest" is Alg. 2 (ties go to the earlier frame); "released" takes the nearest
            before, then the nearest at or after, then the nearest of the rest, which differs on
            irregular anchors.
    """
    times = list(candidates)
    if alpha < 1:
        raise ValueError(f"alpha must be at least 1, not {alpha}")
    if rule not in RULES:
        raise ValueError(f"unknown anchor rule {rule!r}; known are {RULES}")
    if rule == "nearest":
        return sorted(times, key=lambda a: (abs(a - t), a))[:alpha]
    if len(times) <= alpha:
        return times
    chosen = []
    before = [a for a in times if a < t]
    after = [a for a in times if a >= t]
    if before:
        chosen.append(max(before))
    if after:
        chosen.append(min(after))
    rest = sorted((a for a in times if a not in chosen), key=lambda a: abs(a - t))
    return (chosen + rest)[:alpha]
