"""In which order training segments a window's frames: eq. (14), and the release."""

from dataclasses import replace

import pytest
from streams import real_model, smallest
import torch

from virst_model.config import behaviour
from virst_model.train.order import segment_window

ANCHORS = (1, 4)


def calls_of(model, monkeypatch, **arguments):
    """What is decoded, in order: ("anchor", t) from prompts, ("frame", t) from memory."""
    segmenter = model.segmenter
    generator = torch.Generator().manual_seed(0)
    side = model.config.segmenter.side
    pixels = torch.randn(6, 3, side, side, generator=generator)
    frames = [segmenter.encode(one[None]) for one in pixels]
    time = {id(features): t for t, features in enumerate(frames)}
    dim = model.config.segmenter.dim
    prompts = {t: torch.randn(1, 10, dim, generator=generator) for t in ANCHORS}
    calls = []
    for kind, name in (("anchor", "decode_prompted"), ("frame", "decode_tracked")):
        decode = getattr(segmenter, name)

        def spy(features, *rest, kind=kind, decode=decode, **named):
            calls.append((kind, time[id(features)]))
            return decode(features, *rest, **named)

        monkeypatch.setattr(segmenter, name, spy)
    decoded = segment_window(model, frames, prompts, **arguments)
    assert len(decoded) == len(frames)
    return calls


@torch.no_grad()
def test_the_paper_segments_all_anchors_before_any_other_frame(monkeypatch):
    model = real_model(smallest())
    others = [("frame", t) for t in (0, 2, 3, 5)]
    assert calls_of(model, monkeypatch) == [("anchor", 1), ("anchor", 4), *others]


@torch.no_grad()
def test_the_release_segments_the_first_anchor_and_then_by_index(monkeypatch):
    model = real_model(smallest())
    model.config = replace(model.config, behaviour=behaviour("released"))
    kinds = ["anchor" if t in ANCHORS else "frame" for t in (1, 0, 2, 3, 4, 5)]
    assert calls_of(model, monkeypatch) == list(zip(kinds, (1, 0, 2, 3, 4, 5), strict=True))


def test_an_unknown_order_is_refused_by_name():
    model = real_model(smallest())
    with pytest.raises(ValueError, match=r"'backwards'.*anchors_first"):
        segment_window(model, [], {}, "backwards")
