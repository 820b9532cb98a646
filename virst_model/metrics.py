"""J (region) and F (boundary) of binary masks, per frame, as DAVIS defines them; A and R of ReVOS.

Equal on 0/1 masks to `db_eval_iou` and `db_eval_boundary` of davis2017-evaluation, and to
R2VOS's accuracy and robustness. (The release's ReVOS script gives the latter two masks of 0/255,
which makes them wrong.)
"""

import math

import cv2
import numpy as np

BOUNDARY_SHARE = 0.008  # tolerance as a share of the image diagonal


def region(truth_THW: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """IoU of each frame, (T,) in 0..1; 1 where both masks are empty. Non-zero is the mask."""
    truth, mask = _pair(truth_THW, mask_THW)
    both = (truth & mask).sum(axis=(1, 2))
    union = (truth | mask).sum(axis=(1, 2))
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
    return (truth == mask).mean(axis=(1, 2))


def robustness(
    truth_THW: np.ndarray, mask_THW: np.ndarray, foreground_THW: np.ndarray
) -> np.ndarray:
    """R: 1 - wrongly masked pixels / pixels of all objects of the frame, not below 0, (T,)."""
    truth, mask = _pair(truth_THW, mask_THW)
    truth, foreground = _pair(truth, foreground_THW)
    wrong = (mask & ~truth).sum(axis=(1, 2))
    return np.maximum(1 - wrong / (foreground.sum(axis=(1, 2)) + 1e-6), 0.0)


def _boundary_f(truth_HW: np.ndarray, mask_HW: np.ndarray, disk: np.ndarray) -> float:
    wanted, found = _outline(truth_HW), _outline(mask_HW)
    wanted_count, found_count = int(wanted.sum()), int(found.sum())
    if wanted_count == 0 or found_count == 0:
        return float(wanted_count == found_count)
    precision = (found & cv2.dilate(wanted, disk)).sum() / found_count
    recall = (wanted & cv2.dilate(found, disk)).sum() / wanted_count
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))


def _outline(mask_HW: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower right neighbour, uint8 0/1."""
    padded = np.pad(mask_HW, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    outline = (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])
    return outline.astype(np.uint8)


def _disk(radius: int) -> np.ndarray:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def _pair(truth_THW: np.ndarray, mask_THW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth_THW.shape != mask_THW.shape or truth_THW.ndim != 3:
        raise ValueError(f"truth {truth_THW.shape} and masks {mask_THW.shape} must be equal THW")
    return truth_THW != 0, mask_THW != 0
