"""Temporal Dynamic Anchor Updater: which frames are anchors, and which anchors a frame reads.

Pure functions of frame numbers (Sec. 3.4, Alg. 2 of arXiv 2603.27060); what the release does:
docs/released.md, facts 19 and 23.
"""

from collections.abc import Iterable, Sequence
import random

import torch

from virst_model.config import CHOICES

RULES = CHOICES["anchor_rule"]
# Table 5: which of the sampled frames of a video are anchors.
STRATEGIES = CHOICES["anchors"]
# Anchors of "random3" and "uniform3", which do not grow with the number of sampled frames.
FIXED_ANCHORS = 3


def anchor_indices(frames: int) -> list[int]:
    """Evenly spaced anchor candidates of a window: max(1, T // 4) of T = `frames` frames.

    Ascending places 0..T-1, rounded half to even, from the first frame to the last (released
    `select_keyframes`: fact 19).

    Raises:
        ValueError: no frame.
    """
    if frames < 1:
        raise ValueError(f"a window needs at least 1 frame, not {frames}")
    return _even(frames, max(1, frames // 4))


def anchor_candidates(
    strategy: str, frames: int, seed: int = 0, scores: Sequence[float] | None = None
) -> list[int]:
    """Anchor candidates of `frames` >= 1 sampled frames, ascending: the rows of Table 5.

    Args:
        strategy: "dynamic" is Alg. 2, `anchor_indices`; "random3" three drawn by lot; "uniform3"
            three evenly spaced, first and last among them; fewer where there are not three. The
            "single-frame baselines" of Sec. 4.4 have one anchor: "first" the first frame,
            "guided" that of the highest score (the paper's is CLIP's), the earlier of equals.
        frames: how many frames were sampled.
        seed: of "random3"; the same seed draws the same frames.
        scores: of "guided", how well each frame shows what the sentence says.

    Raises:
        ValueError: an unknown strategy, no frame, or not one score a frame.
    """
    if frames < 1:
        raise ValueError(f"a window needs at least 1 frame, not {frames}")
    count = min(FIXED_ANCHORS, frames)
    if strategy == "dynamic":
        return anchor_indices(frames)
    if strategy == "first":
        return [0]
    if strategy == "random3":
        return sorted(random.Random(seed).sample(range(frames), count))
    if strategy == "uniform3":
        return _even(frames, count)
    if strategy == "guided":
        if scores is None or len(scores) != frames:
            count = "none" if scores is None else len(scores)
            raise ValueError(f"guided anchors need one score for each of {frames} frames: {count}")
        return [max(range(frames), key=lambda i: (scores[i], -i))]
    raise ValueError(f"unknown anchor strategy {strategy!r}; known are {STRATEGIES}")


def _even(frames: int, count: int) -> list[int]:
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

    Raises:
        ValueError: alpha is below 1, or an unknown rule.
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
