"""Queries that are asked about one snapshot share what does not depend on the sentence."""

from dataclasses import replace
from functools import partial

import pytest
from streams import noise_frames, query, real_model, run, session, smallest
import torch

from virst_model.model.seen import Pooled, Seen

TEXTS = ("the red circle", "it", "the large blue square that moves to the left?")
FRAMES = noise_frames(16)


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "pointing"])
def model(request):
    model = real_model(replace(smallest(), pointing=request.param))
    if request.param:
        for name in ("to_queries", "to_memory", "to_prompt", "place", "clip"):
            torch.nn.init.normal_(getattr(model.pointing, name).weight, std=0.1)
    return model


def asked(model):
    """Clips' tokens and features of 8 frames."""
    pixels = [model.clip_pixels(image) for image in FRAMES[:8]]
    clips = [model.encode_clip(pixels[i : i + 4]) for i in (0, 4)]
    return clips, [model.encode_frame(image) for image in FRAMES[:8]]


def test_prompts_are_those_of_a_question_alone(model):
    clips, features = asked(model)
    seen = Seen(apart=True)
    shared = [model.ground(clips, features, text, seen=seen) for text in TEXTS]

    alone = [model.ground(clips, features, text) for text in TEXTS]

    for mine, expected in zip(shared, alone, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


def test_a_question_leaves_the_prefix_as_it_was(model):
    clips, features = asked(model)
    seen = Seen(apart=True)
    model.ground(clips, features, TEXTS[0], seen=seen)
    before = [(keys.clone(), values.clone()) for keys, values in seen.prefix.layers]

    model.ground(clips, features, TEXTS[2], seen=seen)

    assert seen.prefix.layers[0][0].shape[2] > 16  # all visual tokens
    for (keys, values), (old_keys, old_values) in zip(seen.prefix.layers, before, strict=True):
        assert torch.equal(keys, old_keys) and torch.equal(values, old_values)


def test_frames_pooled_in_parts_are_those_pooled_together(model):
    _, features = asked(model)
    parts = Pooled.join([model.pool(features[:4]), model.pool(features[4:7])])
    parts = Pooled.join([parts, model.pool(features[7:]).repeat_last(2)])
    whole = model.pool([*features, features[-1]])

    torch.testing.assert_close(parts.initial, whole.initial, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.second, whole.second, atol=1e-5, rtol=0)


def spied(monkeypatch, model):
    """Lists that grow: prefixes and conversations read, frames pooled, [ST] fused."""
    seen = {name: [] for name in ("read", "hidden", "pool", "fuse")}
    owners = {"read": model.vlm, "hidden": model.vlm, "pool": model, "fuse": model.initial_fusion}

    def spy(calls, method, *arguments):
        calls.append(len(arguments[0]) if isinstance(arguments[0], list) else 1)
        return method(*arguments)

    for name, owner in owners.items():
        monkeypatch.setattr(owner, name, partial(spy, seen[name], getattr(owner, name)))
    return seen


def test_queries_due_at_once_read_the_window_once(monkeypatch):
    model = real_model(smallest())
    calls = spied(monkeypatch, model)
    with session(model, window_size=16, reground_every=16) as stream:
        stream.set_queries(tuple(query(i, text) for i, text in enumerate(TEXTS, 1)))
        run(stream, FRAMES)

        assert stream.stats()["groundings"] == 3 * 3  # at 4, 8 and 16 frames
        assert stream._grounder._asker._seen is None  # nobody waits: nothing is kept
    assert len(calls["read"]) == len(calls["fuse"]) == 3  # once a window
    assert calls["hidden"] == []
    assert calls["pool"] == [4] * 4  # each sampled frame once


def test_a_query_alone_is_read_in_one_pass(monkeypatch):
    model = real_model(smallest())
    calls = spied(monkeypatch, model)
    with session(model, window_size=16, reground_every=16) as stream:
        stream.set_queries((query(1, TEXTS[0]),))
        run(stream, FRAMES)

    assert (len(calls["hidden"]), calls["read"]) == (3, [])


def test_a_window_that_has_moved_on_is_read_anew(monkeypatch):
    model = real_model(smallest())
    calls = spied(monkeypatch, model)
    with session(model, window_size=8, reground_every=4, grounding_delay_frames=1) as stream:
        stream.set_queries((query(1, TEXTS[0]), query(2, TEXTS[1])))
        results = run(stream, FRAMES)

    assert len(calls["read"]) == 3 and len(calls["fuse"]) == 3  # of 4, 8, and 4..11
    with session(model, window_size=8, reground_every=4, grounding_delay_frames=1) as stream:
        stream.set_queries((query(1, TEXTS[0]),))
        alone = run(stream, FRAMES)
    for one, both in zip(alone, results, strict=True):
        assert (one.results[0].mask_HW == both.results[0].mask_HW).all()
