"""What guides anchors: a CLIP of transformers (random, made here), or colours."""

from clip_miniature import save_clip
import numpy as np
import pytest
from streams import noise_frames
import torch
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from virst_model.offline.scorers import ClipError, ClipScorer, colour_score


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip") / "clip")


def by_transformers(folder, image, text):
    """The cosine as CLIPModel itself reports it."""
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessor.from_pretrained(folder)
    model = CLIPModel.from_pretrained(folder).eval()
    tokens = tokenizer([text], return_tensors="pt")
    pixels = processor(images=image, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        outputs = model(pixel_values=pixels, **tokens)
    return float((outputs.image_embeds * outputs.text_embeds).sum())


def test_the_score_is_clips_similarity_of_image_and_text(clip):
    scorer, images = ClipScorer(clip), noise_frames(3)

    for image in images:
        for text in ("the red circle", "a dog"):
            known = by_transformers(clip, image, text)
            assert scorer(image, text) == pytest.approx(known, abs=1e-5)

    assert len({scorer(image, text) for image in images for text in ("a dog", "red")}) == 6


def test_a_sentence_that_is_longer_than_clip_reads_is_cut(clip):
    scorer, (image,) = ClipScorer(clip), noise_frames(1)
    assert scorer(image, "wolf " * 40) == scorer(image, "wolf " * 50)


def test_a_folder_without_a_part_of_clip_is_one_line(clip, tmp_path):
    for name in ("model.safetensors", "preprocessor_config.json"):
        folder = tmp_path / name
        folder.mkdir()
        for file in clip.iterdir():
            if file.name != name:
                (folder / file.name).write_bytes(file.read_bytes())
        with pytest.raises(ClipError) as error:
            ClipScorer(folder)
        assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_weights_that_lack_a_layer_are_not_filled_with_random_numbers(clip, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "clip"
    folder.mkdir()
    for file in clip.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ClipError, match="visual_projection"):
        ClipScorer(folder)


def test_another_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ClipError, match="is a bert model"):
        ClipScorer(tmp_path)
    with pytest.raises(ClipError, match="no such folder"):
        ClipScorer(tmp_path / "nowhere")


def test_the_colour_scorer_prefers_the_frame_with_more_of_the_colour():
    red, grey = np.zeros((2, 48, 64, 3), np.uint8)
    red[:] = (212, 36, 40)
    grey[:] = 60
    assert colour_score(red, "the red circle") > colour_score(grey, "the red circle")
    assert colour_score(red, "the circle") == 0
