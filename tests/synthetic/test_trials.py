"""Scenes of the camera's world to measure with: one thing each is other."""

import cv2
import numpy as np
import pytest

from virst_model.synthetic.photographs import ASIDE, Photographs, read_photographs
from virst_model.synthetic.trials import TRIALS, make_trial

SIZE = (120, 160)


@pytest.fixture(scope="module")
def aside(tmp_path_factory) -> Photographs:
    root = tmp_path_factory.mktemp("photographs")
    (root / "photographs").mkdir()
    (root / "cutouts").mkdir()
    checks = np.kron(np.indices((12, 16)).sum(0) % 2, np.ones((10, 10))).astype(np.uint8) * 90
    cv2.imwrite(str(root / "photographs" / f"{ASIDE[0]}.jpg"), cv2.merge([checks + 60] * 3))
    disc = np.zeros((64, 64, 4), np.uint8)
    cv2.circle(disc, (32, 32), 28, (36, 40, 212, 255), -1)
    cv2.imwrite(str(root / "cutouts" / "disc.png"), disc)
    return read_photographs(root, aside=True)


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_of_a_seed_is_always_the_same(name, aside):
    first, again = (make_trial(name, 3, "test", 4.0, aside).render(1.0, *SIZE) for _ in range(2))

    assert all(np.array_equal(a, b) for a, b in zip(first, again))


def test_light_is_light_and_nothing_white_is_before_it():
    for seed in range(8):
        trial = make_trial("light", seed, "test", 4.0)
        picture, ids = trial.render(0.0, *SIZE)
        assert 205 <= np.median(picture[ids == 0]) <= 255
        colours = {item.colour for item in trial.objects}
        assert "white" not in colours or colours == {"white"}


def test_small_is_five_per_cent():
    for seed in range(6):
        ids = make_trial("small", seed, "test", 4.0).render(0.0, 480, 640)[1]
        for number in np.unique(ids)[1:]:
            rows = np.flatnonzero((ids == number).any(axis=1))
            assert rows[-1] - rows[0] <= 0.085 * 480


def test_cut_outs_are_named_by_their_own_colour_before_a_camera_that_moves(aside):
    trial = make_trial("cutouts", 1, "test", 8.0, aside)

    assert {item.colour for item in trial.objects} == {"red"}
    offsets = [trial.view.camera.offset(t) for t in (0.0, 2.0, 4.0)]
    assert max(abs(a - b) for a in offsets for b in offsets) > 0.02


def test_photographs_lie_behind_plain_objects(aside):
    trial = make_trial("photographs", 2, "test", 4.0, aside)
    picture, ids = trial.render(0.0, *SIZE)

    behind = picture[ids == 0].astype(int)
    # Grey checks, but for what the edge of an object mixes with them.
    assert behind.std() > 15 and np.quantile(np.ptp(behind, axis=1), 0.95) < 12


def test_the_demo_is_asked_for_its_two_things(aside):
    trial = make_trial("demo", 1, "test", 4.0, aside)
    picture, ids = trial.render(0.0, *SIZE)

    sentences = trial.sentences()
    assert [sentence.text for sentence in sentences] == ["the red circle", "the blue square"]
    for sentence, channel in zip(sentences, (0, 2), strict=True):
        meant = np.isin(ids, sentence.object_ids(0.0))
        assert meant.mean() > 0.01 and picture[meant].mean(0).argmax() == channel
    assert picture[ids == 0].std() > 15


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="no photograph that is kept aside"):
        make_trial("photographs", 0, "test", 4.0)
    with pytest.raises(ValueError, match="known are light"):
        make_trial("dark", 0, "test", 4.0)
