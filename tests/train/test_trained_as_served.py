"""What a model that points learns by is what a stream asks it for: the same prompts, masks too."""

from dataclasses import replace

import pytest
from streams import smallest
import torch

from virst_model.checkpoints.load import build
from virst_model.model.features import FrameFeatures
from virst_model.train.forward import predict
from virst_model.train.stage import Objective, SceneDraws
from virst_model.train.synthetic import SyntheticBatches


@pytest.fixture(scope="module")
def model():
    """Of which no way of what is pointed at is shut."""
    model = build(replace(smallest(), pointing=True), seed=1)
    torch.manual_seed(2)
    ways = ("place", "clip", "to_queries", "to_memory", "to_prompt")
    for name in ways:
        layer = getattr(model.pointing, name)
        torch.nn.init.normal_(layer.weight, std=0.5)
        torch.nn.init.normal_(layer.bias, std=0.5)
    return model


@pytest.mark.parametrize(
    ("frames", "fused"), [(4, 0), (8, 0), (16, 0), (64, 0), (4, 3), (8, 3), (16, 3)]
)
@torch.inference_mode()
def test_the_masks_of_a_batch_are_those_of_a_stream(model, frames, fused):
    draws = SceneDraws(2, 2, (frames,), fused=fused)
    batch = SyntheticBatches(draws, model.config.segmenter.side, seed=0).draw(0)
    window, asked = batch.frames.window, batch.sentences

    learned = predict(model, batch, Objective()).decoded
    assert batch.frames.clips.shape[1] == max(2, frames // 4)  # filled up to eight frames

    assert len(asked.texts) > 1 and set(learned) == set(batch.frames.anchors)
    for row, (text, video) in enumerate(zip(asked.texts, asked.video.tolist(), strict=True)):
        clips = [model.encode_clip(list(clip)) for clip in batch.frames.clips[video]]
        pixels = batch.frames.pixels[video]
        features: list[FrameFeatures] = [model.segmenter.encode(pixels[f][None]) for f in window]
        prompts_TNC = model.ground(clips, features, text, fused=window if fused else None)
        for anchor, decoded in learned.items():
            place = window.index(anchor)
            served = model.decode_anchor(features[place], prompts_TNC[place])
            torch.testing.assert_close(
                decoded.raw_logits[row], served.raw_logits[0], atol=2e-3, rtol=2e-3
            )
