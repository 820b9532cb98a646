"""Tables are made once, and what they are made of is never mistaken."""

import copy
from dataclasses import replace

import pytest
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_utils import get_1d_sine_pe
from streams import noise_frames, real_model, smallest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from virst_model.config import ST_TOKENS
from virst_model.model import segmenter
from virst_model.model.features import MemoryRead
from virst_model.model.memory import Memory
from virst_model.model.positions import SinePositions, number_places
from virst_model.model.rotary import axial_turn, rotate_pairs
from virst_model.model.tables import WeightTable, table
from virst_model.model.tracking import track_anchor, track_frame

IMAGE = noise_frames(1)[0]


class Operators(TorchDispatchMode):
    """Names of the operators that ran, in their order."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operator, types, arguments=(), named=None):
        self.names.append(operator._schema.name.removeprefix("aten::"))
        return operator(*arguments, **(named or {}))


def test_a_table_is_made_once_for_each_arguments_and_can_be_trained_with():
    made = []

    @table
    def ones(size):
        made.append(size)
        return torch.ones(size)

    with torch.inference_mode():
        first = ones(2)
    assert ones(2) is first and ones(3) is not first and made == [2, 3]
    weight = torch.ones(2, requires_grad=True)
    (weight * first).sum().backward()  # refused, of a tensor made in inference mode
    assert weight.grad.tolist() == [1, 1]


def double(weights):
    return 2 * weights[0]


@torch.no_grad()
def test_a_table_of_a_weight_is_kept_until_the_weight_changes():
    weight, doubled = torch.nn.Parameter(torch.ones(2)), WeightTable(double)

    assert doubled((weight,)) is doubled((weight,))
    weight += 1
    assert doubled((weight,)).tolist() == [4, 4]
    weight.data = weight.data + 1  # as a module is moved or cast
    assert doubled((weight,)).tolist() == [6, 6]


def test_a_table_of_a_weight_that_is_trained_is_made_at_each_step():
    weight, doubled = torch.nn.Parameter(torch.ones(2)), WeightTable(double)
    for _ in range(2):
        doubled((weight,)).sum().backward()

    assert weight.grad.tolist() == [4, 4]
    weight.requires_grad_(False)  # frozen: nobody wants its gradient
    assert doubled((weight,)) is doubled((weight,))


def test_a_table_of_a_weight_made_in_inference_mode_is_not_kept():
    with torch.inference_mode():
        weight, doubled = torch.ones(2), WeightTable(double)
        doubled((weight,))
        weight += 1
        assert doubled((weight,)).tolist() == [4, 4]


@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_places_are_those_of_sam2_to_the_bit(size):
    image = torch.zeros(2, 3, *size)
    theirs = PositionEmbeddingSine(num_pos_feats=32, warmup_cache=False)(image)
    assert torch.equal(SinePositions(32)(image), theirs)
    distances = torch.tensor([[0.2, -3.0, 41.0]])
    assert torch.equal(number_places(distances, 64), get_1d_sine_pe(distances, 64))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_a_rotation_is_the_same_while_it_is_traced():
    turn = axial_turn(16, 8, torch.device("cpu"))
    x = torch.randn(2, 3, 16, 8, generator=torch.Generator().manual_seed(0))
    traced = torch.jit.trace(lambda x: rotate_pairs(x, turn), (x,))
    assert "complex" not in str(traced.graph)
    torch.testing.assert_close(rotate_pairs(x, turn), traced(x), atol=2e-6, rtol=0)


def test_a_frame_makes_no_table_anew():
    model = real_model(smallest())
    names = []
    with torch.inference_mode():
        memory = Memory(model.config)
        prompts_NC = torch.zeros(ST_TOKENS, model.config.segmenter.dim)
        track_anchor(model, 0, model.encode_frame(IMAGE), prompts_NC, memory)
        for t in (1, 2):
            with Operators() as seen:
                track_frame(model, t, model.encode_frame(IMAGE), [memory])
            names.append(seen.names)

    made = {"arange", "sin", "cos", "upsample_bicubic2d", "linspace", "floor_divide"}
    assert made & set(names[0])
    assert {name for name in names[1] if name in made} == {"sin", "cos"}  # of the distances
    assert names[1].count("sin") == 1


def test_nothing_is_masked_where_the_host_knows_that_all_slots_are_valid(monkeypatch):
    model = real_model(smallest())
    masks = []
    attention = segmenter.F.scaled_dot_product_attention

    def spy(q, k, v, mask=None, dropout=0.0):
        masks.append(mask)
        return attention(q, k, v, mask, dropout)

    with torch.inference_mode():
        memory, other = Memory(model.config), Memory(model.config)
        features = model.encode_frame(IMAGE)
        prompts_NC = torch.ones(ST_TOKENS, model.config.segmenter.dim)
        for t in (0, 1, 2):
            track_anchor(model, t, features, prompts_NC, memory)
        track_anchor(model, 0, features, prompts_NC, other)
        complete = []
        for t in range(3, 22):
            complete.append(memory.read(t).complete)
            track_frame(model, t, features, [memory])
        assert complete == [False] * 15 + [True] * 4  # anchors are holes while they are recent

        full = memory.read(22)
        monkeypatch.setattr(segmenter.F, "scaled_dot_product_attention", spy)
        free = model.segmenter.attend(features.s2, full)
        assert masks == [None] * len(masks)
        masked = model.segmenter.attend(features.s2, replace(full, complete=False))
        assert masks[-1] is not None
        torch.testing.assert_close(free, masked, atol=1e-5, rtol=0)
        both = MemoryRead.batch([full, other.read(22)])  # one of the two has holes
        assert not both.complete and both.map_valid.tolist()[1].count(True) == 1


def test_no_file_holds_a_table_and_a_copy_of_the_model_has_its_own():
    model = real_model(smallest())
    before = set(model.state_dict())
    with torch.no_grad():
        expected = model.encode_frame(IMAGE).s2
        other = copy.deepcopy(model)
        other.segmenter.image_encoder.trunk.pos_embed += 1.0

        assert not torch.equal(other.encode_frame(IMAGE).s2, expected)
        assert torch.equal(model.encode_frame(IMAGE).s2, expected)
    assert set(model.state_dict()) == before


def test_a_model_that_has_seen_a_frame_in_inference_mode_can_be_trained():
    model = real_model(smallest())
    with torch.inference_mode():
        model.encode_frame(IMAGE)
    pixels = model.frame_pixels(IMAGE)[None]

    model.segmenter.encode(pixels).s2.sum().backward()

    trunk = model.segmenter.image_encoder.trunk
    assert trunk.pos_embed.grad.abs().sum() > 0 and trunk.pos_embed_window.grad.abs().sum() > 0
