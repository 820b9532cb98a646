"""Whether a query's masks still agree with its last answer (docs/stream.md, rule 21)."""

import argparse

import cv2
import numpy as np

from virst_model.arguments import above_0
from virst_model.stream.compose import Shown

PERIODIC, ON_CHANGE = "periodic", "on_change"
# When a query that is followed is asked again.
REGROUND = (PERIODIC, ON_CHANGE)
# An answer is old once nothing of the window that it was about is in the present one: 32 frames,
# four a second.
REGROUND_AFTER_S = 8.0
# A mask's shape has changed where its area, width or height is more than so many times as large
# as it was, or as small.
SHAPE_FACTOR = 2.0


def add_reground_options(parser: argparse.ArgumentParser) -> None:
    """Adds --reground and --reground-after, the `reground...` of SessionOptions."""
    parser.add_argument(
        "--reground",
        choices=REGROUND,
        default=PERIODIC,
        help="when a stream asks the language model again; on_change: once masks do not agree "
        "with its last answer, or that is old",
    )
    parser.add_argument(
        "--reground-after",
        type=above_0,
        default=REGROUND_AFTER_S,
        metavar="S",
        help="of on_change: seconds after which an answer is old",
    )


class Watch:
    """Compares the masks of a query with the one of the frame at which it was last asked.

    A change is that the object has come or gone, or that its mask has another shape or jumps. The
    first one is remembered until `restart`.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The next mask is the one that those after it are compared with."""
        self._changed_t: int | None = None
        self._first_hw: np.ndarray | None = None
        self._last_hw: np.ndarray | None = None

    def change(self, t: int) -> None:
        """What is known of frame `t` agrees with the last answer no more."""
        if self._changed_t is None:
            self._changed_t = t

    def has_changed(self, t: int) -> bool:
        """Whether there was a change by frame `t`."""
        return self._changed_t is not None and self._changed_t <= t

    def see(self, t: int, shown: Shown) -> None:
        """Takes the mask of the next frame, `t`; a query that is not followed has none."""
        if shown.logits_hw is None:
            return
        mask_hw = shown.mask_hw
        if self._first_hw is None:
            self._first_hw = mask_hw
        elif not _alike(self._first_hw, mask_hw) or _jumps(self._last_hw, mask_hw):
            self.change(t)
        self._last_hw = mask_hw


def _alike(first_hw: np.ndarray, mask_hw: np.ndarray) -> bool:
    """Whether both are empty, or both of about one size and shape."""
    first, now = _extent(first_hw), _extent(mask_hw)
    if not first.all() or not now.all():
        return not first.any() and not now.any()
    return bool((np.maximum(first / now, now / first) <= SHAPE_FACTOR).all())


def _jumps(last_hw: np.ndarray, mask_hw: np.ndarray) -> bool:
    """Whether masks of two frames in a row have no place in common; an empty one is nowhere."""
    return bool(last_hw.any() and mask_hw.any() and not (last_hw & mask_hw).any())


def _extent(mask_hw: np.ndarray) -> np.ndarray:
    """Area, width and height, (3,); zeros of an empty mask."""
    bytes_hw = mask_hw.view(np.uint8)
    return np.array([cv2.countNonZero(bytes_hw), *cv2.boundingRect(bytes_hw)[2:]], float)
