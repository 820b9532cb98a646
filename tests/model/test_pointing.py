"""Pointing: where [ST] says its target is, and what that adds. Of a model that is not turned to it
nothing changes."""

from dataclasses import replace

import pytest
from streams import noise_frames, smallest
import torch

from virst_model.checkpoints.load import build
from virst_model.checkpoints.names import to_released
from virst_model.config import full
from virst_model.model.pointing import PLACES, Pointed, token_places, waves
from virst_model.model.virst import Virst


@pytest.fixture(scope="module")
def plain() -> Virst:
    return build(smallest(), seed=3)


@pytest.fixture(scope="module")
def pointing(plain) -> Virst:
    torch.manual_seed(4)
    model = Virst(replace(plain.config, pointing=True), plain.tokenizer).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    return model


def ground(model: Virst, frames: int, text: str = "the red circle", **options):
    with torch.inference_mode():
        images = noise_frames(frames)
        pixels = [model.clip_pixels(image) for image in images]
        clips = [model.encode_clip(pixels[i : i + 4]) for i in range(0, frames, 4)]
        return model.ground(
            clips, [model.encode_frame(image) for image in images], text, **options
        )


@pytest.mark.parametrize("frames", [4, 8, 16, 64])
def test_new_pointing_changes_no_prompt(plain, pointing, frames):
    assert torch.equal(ground(pointing, frames), ground(plain, frames))


def test_what_is_pointed_at_changes_the_prompts_of_its_frame(pointing):
    model = Virst(pointing.config, pointing.tokenizer).eval()
    model.load_state_dict(pointing.state_dict())
    torch.nn.init.normal_(model.pointing.to_prompt.weight)

    moved = (ground(model, 8) - ground(pointing, 8)).abs()

    assert moved.amin(dim=(1, 2)).min() >= 0 and (moved.amax(dim=(1, 2)) > 1e-3).all()


def test_frames_that_the_fusion_sees_get_the_places_of_their_own_moments(pointing):
    model = Virst(pointing.config, pointing.tokenizer).eval()
    model.load_state_dict(pointing.state_dict())
    for layer in (model.pointing.to_queries, model.pointing.to_prompt, model.pointing.to_memory):
        torch.nn.init.normal_(layer.weight)
    images = noise_frames(8)
    with torch.inference_mode():
        pixels = [model.clip_pixels(image) for image in images]
        clips = [model.encode_clip(pixels[i : i + 4]) for i in (0, 4)]
        features = [model.encode_frame(images[t]) for t in (2, 7)]
        own = model.ground(clips, features, "it", fused=[2, 7])
        first = model.ground(clips, features, "it")

    assert own.shape == first.shape and not torch.equal(own, first)


def test_an_image_is_one_clip_of_one_frame(pointing):
    image = noise_frames(1)[0]
    with torch.inference_mode():
        clip = pointing.encode_clip([pointing.clip_pixels(image)])
        prompts_TNC = pointing.ground([clip], [pointing.encode_frame(image)], "it")

    assert clip.places.shape[0] == 1 and prompts_TNC.shape[0] == 1


def test_every_patch_is_in_one_token_and_the_token_is_their_mean(pointing):
    projector, umt = pointing.vlm.projector, pointing.config.umt
    grid = umt.side // umt.patch
    seen = torch.randn(2, 4 * grid**2, umt.dim)
    places = token_places(4, grid, seen.device)

    tokens, merged, owners = projector.place(seen, places)

    assert merged.shape == (*tokens.shape[:2], PLACES)
    for clip in range(2):
        for token in range(tokens.shape[1]):
            members = owners[clip] == token
            assert members.any()
            assert torch.allclose(merged[clip, token, :-1], places[members].mean(0), atol=1e-5)
            count = torch.log(members.sum().float()) / 4
            assert torch.allclose(merged[clip, token, -1], count, atol=1e-5)


def test_fewer_pairs_a_round_leave_as_many_tokens(plain):
    tome = replace(plain.config.tome, pairs=1)
    model = Virst(replace(plain.config, tome=tome), plain.tokenizer)
    umt = plain.config.umt
    seen = torch.randn(1, 4 * (umt.side // umt.patch) ** 2, umt.dim)

    assert model.vlm.projector.merge(seen).shape == plain.vlm.projector.merge(seen).shape


def test_blank_tokens_say_nothing_places_too(pointing):
    image = noise_frames(1)[0]
    clip = pointing.encode_clip([pointing.clip_pixels(image)] * 4).blank()

    assert not clip.embeds.any() and not clip.places.any()


def test_heat_is_high_where_tokens_are_pointed_at_and_falls_with_none():
    logits = torch.tensor([[[2.0, 0.0, 0.0, 0.0]]])  # the first of three tokens; none is unlikely
    pointed = Pointed(logits, torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 4), torch.zeros(1))
    sure_of_none = replace(pointed, logits=logits + torch.tensor([0.0, 0.0, 0.0, 20.0]))
    owners = torch.tensor([[[0, 0, 1, 2]]])

    heat, nothing = pointed.heat(owners), sure_of_none.heat(owners)

    assert heat[0, 0, 0] == heat[0, 0, 1] > heat[0, 0, 2] == heat[0, 0, 3]
    assert nothing.max() < 1e-6


def test_waves_are_sines_and_cosines_of_each_value():
    values = torch.tensor([0.0, 0.5])

    assert waves(values).shape == (16,)
    assert torch.allclose(waves(values)[:4], torch.zeros(4), atol=1e-6)


def test_the_7b_model_and_released_names_know_nothing_of_it(pointing):
    assert not full().pointing
    names = [name for name in pointing.state_dict() if name.startswith("pointing.")]
    assert names
    for name in names:
        with pytest.raises(KeyError):
            to_released(name)
