"""J and F, against the package vos-benchmark where both mean the same."""

import cv2
import numpy as np
from PIL import Image
import pytest
from vos_benchmark.benchmark import benchmark

from virst_model.evaluate.metrics import boundary, region

SIZE = (60, 90)
FRAMES = 8


def blobs(seed, shift=0.0, gone_from=FRAMES):
    """(T, H, W) bool: a shape that moves and leaves the picture before `gone_from`."""
    rng = np.random.default_rng(seed)
    radius, y = rng.uniform(8, 14), rng.uniform(15, 45)
    masks = np.zeros((FRAMES, *SIZE), np.uint8)
    for t in range(gone_from):
        centre = round(20 + 5 * t + shift), round(y + shift)
        cv2.ellipse(masks[t], centre, (round(radius), round(radius / 2)), 20 * t, 0, 360, 1, -1)
    return masks > 0


# Visible in frame 0: where an object first appears later, the package skips frames and we do not.
CASES = {
    "close": (blobs(0), blobs(0, 1.5)),
    "far": (blobs(1), blobs(1, 15)),
    "equal": (blobs(2), blobs(2)),
    "gone": (blobs(3, gone_from=5), blobs(3, 2, gone_from=6)),
    "silent": (blobs(4), np.zeros((FRAMES, *SIZE), bool)),
}


def write(root, masks):
    folder = root / "video"
    folder.mkdir(parents=True)
    for t, mask in enumerate(masks):
        image = Image.fromarray(mask.astype(np.uint8), mode="P")
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.save(folder / f"{t:05d}.png")
    return str(root)


@pytest.mark.parametrize("name", CASES)
def test_j_and_f_equal_vos_benchmark(tmp_path, name):
    truth, mask = CASES[name]
    roots = write(tmp_path / "truth", truth), write(tmp_path / "mask", mask)

    _, (j,), (f,), _ = benchmark(
        [roots[0]], [roots[1]], num_processes=1, verbose=False, skip_first_and_last=False
    )

    assert 100 * region(truth, mask).mean() == pytest.approx(j, abs=1e-6)
    assert 100 * boundary(truth, mask).mean() == pytest.approx(f, abs=1e-6)


def test_the_pictures_edge_is_no_outline():
    left = np.zeros((1, 20, 20), bool)
    left[0, :, :10] = True
    whole = np.ones((1, 20, 20), bool)

    assert boundary(whole, whole)[0] == 1  # no outline wanted, none found
    assert boundary(left, whole)[0] == 0


def test_masks_of_different_shapes_are_an_error_with_both():
    with pytest.raises(ValueError, match=r"\(1, 4, 4\) and masks \(1, 4, 5\)"):
        region(np.zeros((1, 4, 4)), np.zeros((1, 4, 5)))
