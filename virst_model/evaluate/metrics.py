"""J (region) and F (boundary) of binary masks, per frame, as DAVIS defines them; A and R of ReVOS.

Equal on 0/1 masks to `db_eval_iou` and `db_eval_boundary` of davis2017-evaluation, and to
R2VOS's accuracy and robustness. (The release's ReVOS script gives the latter two masks of 0/255,
which makes them wrong: docs/released.md, fact 39.)
"""

import math

import cv2
import numpy as np

BOUNDARY_SHARE = 0.008  # tolerance as a share of the image diagonal


def region(truth_THW: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """IoU of each frame, (T,) in 0..1; 1 where both masks are empty. Non-zero is the mask."""
    truth, mask = _pair(truth_THW, mask_THW)
    both = _pixels(truth & mask)
    union = _pixels(truth) + _pixels(mask) - both
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


def boundary(truth_THW: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """F measure of the masks' boundaries in each frame, (T,) in 0..1; 1 where both are empty.

    A boundary pixel is right where the other boundary is within 0.8 % of the image diagonal.
    """
    truth, mask = _pair(truth_THW, mask_THW)
    radius = math.ceil(BOUNDARY_SHARE * math.hypot(*truth.shape[1:]))
    disk = _disk(radius)
    return np.array([_boundary_f(t, m, disk) for t, m in zip(truth, mask, strict=True)])


def accuracy(truth_THW: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """A: share of the pixels of each frame that are right, (T,) in 0..1."""
    truth, mask = _pair(truth_THW, mask_THW)
    return _pixels(truth == mask) / truth[0].size


def robustness(
    truth_THW: np.ndarray, mask_THW: np.ndarray, foreground_THW: np.ndarray
) -> np.ndarray:
    """R: 1 - wrongly masked pixels / pixels of all objects of the frame, not below 0, (T,)."""
    truth, mask = _pair(truth_THW, mask_THW)
    truth, foreground = _pair(truth, foreground_THW)
    wrong = _pixels(mask & ~truth)
    return np.maximum(1 - wrong / (_pixels(foreground) + 1e-6), 0.0)


def _boundary_f(truth_HW: np.ndarray, mask_HW: np.ndarray, disk: np.ndarray) -> float:
    part = _around((truth_HW | mask_HW).view(np.uint8))
    outline, predicted = _outline(truth_HW[part]), _outline(mask_HW[part])
    outline_count = cv2.countNonZero(outline)
    predicted_count = cv2.countNonZero(predicted)
    if outline_count == 0 or predicted_count == 0:
        return float(outline_count == predicted_count)
    precision = cv2.countNonZero(predicted & cv2.dilate(outline, disk)) / predicted_count
    recall = cv2.countNonZero(outline & cv2.dilate(predicted, disk)) / outline_count
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))


def _around(shown_HW: np.ndarray) -> tuple[slice, slice]:
    """The part of an image that holds all that is not 0, and a pixel more where there is one.

    No outline is outside of it, and dilating reaches no outline there.
    """
    x, y, width, height = cv2.boundingRect(shown_HW)
    if width == 0:
        return slice(0, 1), slice(0, 1)
    return slice(max(0, y - 1), y + height + 1), slice(max(0, x - 1), x + width + 1)


def _outline(mask_HW: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower right neighbour, uint8 0/1."""
    padded = np.pad(mask_HW, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    outline = (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])
    return outline.astype(np.uint8)


def _pixels(mask_THW: np.ndarray) -> np.ndarray:
    """Pixels of each bool mask, (T,)."""
    # Frame by frame: counting along axes is many times slower.
    return np.array([np.count_nonzero(mask_HW) for mask_HW in mask_THW], np.int64)


def _disk(radius: int) -> np.ndarray:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def _pair(truth_THW: np.ndarray, mask_THW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth_THW.shape != mask_THW.shape or truth_THW.ndim != 3:
        raise ValueError(f"truth {truth_THW.shape} and masks {mask_THW.shape} must be equal THW")
    return truth_THW.astype(bool, copy=False), mask_THW.astype(bool, copy=False)
