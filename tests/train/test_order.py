"""In which order training segments a window's frames: eq. (14), and the release."""

from dataclasses import replace

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


def of_three_tokens(train_token):
    """A model that reads three mask tokens, and the prompts and features of two frames."""
    config = smallest()
    config = replace(
        config,
        segmenter=replace(config.segmenter, multimask=True),
        behaviour=replace(config.behaviour, train_token=train_token),
    )
    model, generator = real_model(config), torch.Generator().manual_seed(0)
    side, dim = config.segmenter.side, config.segmenter.dim
    pixels = torch.randn(2, 3, side, side, generator=generator)
    frames = [model.segmenter.encode(one[None]) for one in pixels]
    return model, frames, torch.randn(1, 10, dim, generator=generator)


def trained_tokens(model, decoded):
    """Which mask tokens' own layers have a gradient."""
    model.zero_grad()
    sum(one.raw_logits.sum() for one in decoded).backward()
    mlps = model.segmenter.sam_mask_decoder.output_hypernetworks_mlps
    return [token for token, mlp in enumerate(mlps) if mlp.layers[0].weight.grad.any()]


def test_the_tokens_that_inference_reads_train_and_the_mask_is_the_one_that_it_reads():
    model, frames, prompt = of_three_tokens("read")

    decoded = segment_window(model, frames, {0: prompt})

    read = model.segmenter.decode_prompted(frames[0], prompt)
    single = model.segmenter.decode_prompted(frames[0], prompt, multimask=False)
    assert torch.equal(decoded[0].raw_logits, read.raw_logits)
    assert not torch.equal(read.raw_logits, single.raw_logits)
    assert decoded[0].score == read.score  # the highest of three
    trained = trained_tokens(model, decoded)
    assert trained and 0 not in trained


def test_the_release_trains_the_single_mask_token_on_anchors_and_on_tracked_frames():
    model, frames, prompt = of_three_tokens(behaviour("released").train_token)

    decoded = segment_window(model, frames, {0: prompt})

    single = model.segmenter.decode_prompted(frames[0], prompt, multimask=False)
    assert torch.equal(decoded[0].raw_logits, single.raw_logits)
    # Of the anchor and of the tracked frame: a mask of another token would bring its own in.
    assert trained_tokens(model, decoded) == [0]


def test_only_the_release_trains_another_token_than_it_reads():
    assert behaviour("paper").train_token == "read"
    assert behaviour("released").train_token == "single"
