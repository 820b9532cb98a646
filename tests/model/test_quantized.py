"""A layer in eight bits is nearly what it was, also at the width of the 7B model."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from virst_model.config import full
from virst_model.model.quantized import Int8Linear, quantize
from virst_model.model.vlm import build_llm


def error_of(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_of_very_different_size_are_each_as_exact(dtype):
    torch.manual_seed(0)
    linear = nn.Linear(256, 4).to(dtype)
    linear.weight.mul_(torch.tensor([1e-3, 1.0, 30.0, 0.0], dtype=dtype)[:, None])
    x = torch.randn(64, 256).to(dtype)

    found = Int8Linear(linear)(x)

    assert found.dtype == dtype
    expected = linear(x).float() - linear.bias.float()
    rounded = found.float() - linear.bias.float()
    for row in range(1, 3):
        assert error_of(rounded[:, row], expected[:, row]) < 0.01
    assert torch.equal(found[:, 3], linear(x)[:, 3])  # of zeros


def test_sums_stay_within_half_precision():
    linear = nn.Linear(4096, 1, bias=False).half()
    nn.init.constant_(linear.weight, 0.01)
    x = torch.full((1, 4096), 10.0, dtype=torch.float16)  # 52,000,000 in whole levels

    assert Int8Linear(linear)(x).item() == pytest.approx(409.6, rel=0.01)


@pytest.mark.slow
@torch.inference_mode()
def test_a_layer_of_the_7b_model_differs_by_two_hundredths():
    torch.manual_seed(0)
    config = replace(full().llm, layers=1, vocab=8)
    llm = build_llm(config).eval()
    embeds_BLD = torch.randn(1, 64, config.hidden)
    expected = llm.model(inputs_embeds=embeds_BLD).last_hidden_state

    quantize(llm)

    assert sum(isinstance(m, Int8Linear) for m in llm.modules()) == 7
    assert not isinstance(llm.lm_head, Int8Linear)
    found = llm.model(inputs_embeds=embeds_BLD).last_hidden_state
    # Of normal weights, whose greatest are far from the others: 0.0184.
    assert 0.005 < error_of(found, expected) < 0.025
