"""The clip encoder with a stem of convolutions; parity_language.py compares the release's."""

from dataclasses import replace

import pytest
import torch

from virst_model.config import UmtConfig
from virst_model.model.umt import Umt

SMALL = UmtConfig(side=32, patch=16, dim=32, depth=1, heads=2, base_grid=2)
STEM = (4, 8, 8)


@pytest.fixture
def clip():
    return torch.randn(1, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stem", [(), STEM])
def test_each_patch_of_each_frame_is_a_token(clip, stem):
    umt = Umt(replace(SMALL, stem=stem))

    assert umt(clip).shape == (1, 4 * 4, 32)
    assert umt.encode_image(clip[:, 0]).shape == (1, 4, 32)


@pytest.mark.parametrize(("stem", "seen"), [((), False), (STEM, True)])
def test_a_stem_sees_what_changed_between_two_frames(clip, stem, seen):
    umt = Umt(replace(SMALL, stem=stem))
    other = clip.clone()
    other[:, 1] += 1.0

    with torch.no_grad():
        first, second = (umt.patch_embed(x)[:, :4] for x in (clip, other))

    assert torch.equal(first, second) != seen


def test_a_stem_keeps_tokens_in_the_order_of_time_then_rows_then_columns(clip):
    umt = Umt(replace(SMALL, patch=8, stem=(4, 8)))
    other = clip.clone()
    other[:, 3, :, 31, 31] += 9.0

    with torch.no_grad():
        change = (umt.patch_embed(other) - umt.patch_embed(clip)).norm(dim=-1).view(4, 4, 4)

    changed = [tuple(place) for place in change.nonzero().tolist()]
    assert changed == [(1, 3, 3), (2, 3, 3), (3, 3, 3)]  # two of its layers look a frame ahead


def test_a_stem_that_does_not_make_the_patches_is_refused():
    with pytest.raises(ValueError, match="3 convolutions make patches of 8 pixels, not 16"):
        Umt(replace(SMALL, stem=(4, 8)))
