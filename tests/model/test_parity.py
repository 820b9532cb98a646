"""What our model computes is what the released VIRST computes: every file of golden.py, one run.

Prints one line a kind with the worst difference seen. The tests stand in the parity_*.py beside
this file, and are collected here.
"""

from collections.abc import Iterator
import sys

import pytest
import torch

PARTS = ("golden", "parity_language", "parity_segmenter", "parity_whole")

# Before they are imported.
pytest.register_assert_rewrite(*PARTS)

from golden import Near
from parity_language import (
    test_every_file_is_compared,
    test_full_model_has_exactly_the_released_parameters,
    test_initial_fusion,
    test_second_fusion,
    test_sizes_of_the_full_model_are_read_from_the_released_shapes,
    test_the_committed_vectors_are_those_that_their_readme_names,
    test_tome_on_clips_and_on_images,
    test_umt_on_clips_and_on_images,
    test_vectors_of_every_kind_are_there,
    test_vlm_on_a_right_padded_batch,
    test_vlm_without_and_with_initial_fusion,
)
from parity_segmenter import (
    test_anchor_candidates_of_every_window_length,
    test_memory_reads_what_the_release_reads,
    test_one_frame,
    test_released_rule_selects_the_same_anchors_in_the_same_order,
    test_video_with_exact_memory,
    test_video_with_memory_rounded_to_bfloat16,
)
from parity_whole import (
    test_from_frames_and_token_ids_to_masks,
    test_mask_losses_alone,
    test_metrics,
    test_prompts_have_the_released_ids_and_labels,
    test_training_forward_and_gradients,
)


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def near(request: pytest.FixtureRequest) -> Iterator[Near]:
    """Its worst differences go into the test's report, which a worker hands on."""
    near = Near()
    yield near
    request.node.user_properties += [
        (f"parity, {kind}", worst) for kind, worst in near.worst.items()
    ]


@pytest.mark.parametrize("part", PARTS)
def test_every_test_of_a_part_is_collected(part: str) -> None:
    here, there = vars(sys.modules[__name__]), vars(sys.modules[part])
    tests = {name for name in there if name.startswith("test_")}
    assert bool(tests) == part.startswith("parity_")
    assert not {name for name in tests if here.get(name) is not there[name]}
