"""An image is one frame (T = 1): in training, segment, evaluate and ask, and never copied."""

from dataclasses import replace

from image_miniatures import make_ade20k, make_reason_seg, make_refer
from PIL import Image
import pytest
from streams import noise_frames, real_model, smallest
import torch

from virst_model.config import behaviour
from virst_model.data.catalogue import CATALOGUE, open_dataset
from virst_model.data.mixture import open_mixture
from virst_model.evaluate.predict import Pass, predict
from virst_model.evaluate.predictions import Predictions
from virst_model.frames import open_frames
from virst_model.offline.video import clip_tokens, segment_video
from virst_model.train import forward
from virst_model.train.stage import WindowDraws
from virst_model.train.stages import STAGES
from virst_model.train.windows import WindowBatches

BEHAVIOURS = ("paper", "released")


@pytest.fixture(params=BEHAVIOURS)
def calls(request, monkeypatch):
    """A model, and what it is shown: the spies append to the lists of this dict."""
    model = real_model(smallest())
    model.config = replace(model.config, behaviour=behaviour(request.param))
    calls = {"model": model, "images": [], "clips": [], "fused": [], "prompted": [], "tracked": []}
    umt, segmenter = model.vlm.umt, model.segmenter

    def spy(owner, name, place, note):
        known = getattr(owner, name)

        def wrapped(*arguments, **named):
            calls[place].append(note(*arguments))
            return known(*arguments, **named)

        monkeypatch.setattr(owner, name, wrapped)

    spy(umt, "encode_image", "images", lambda images: tuple(images.shape))
    spy(umt, "forward", "clips", lambda clips: tuple(clips.shape))
    spy(model.second_fusion, "fuse", "fused", lambda states, pooled, hint: pooled.shape[1])
    spy(segmenter, "decode_prompted", "prompted", lambda *arguments: arguments[2:])
    spy(segmenter, "decode_tracked", "tracked", lambda *arguments: 1)
    return calls


def inputs(calls) -> dict[str, object]:
    """What the clip encoder, the fusion and the mask decoder were given."""
    return {name: value for name, value in calls.items() if name != "model"}


def one_image(calls, images: int = 1, sentences: int = 1) -> bool:
    """Whether each image was one frame for the clip encoder, and one anchor a sentence."""
    side = calls["model"].config.umt.side
    return (
        calls["images"] == [(1, 3, side, side)] * images
        and calls["clips"] == [] == calls["tracked"]
        and calls["fused"] == [1] * sentences
        and len(calls["prompted"]) == sentences
        and all(previous is None for options in calls["prompted"] for previous in options)
    )


def test_an_image_file_is_segmented_as_one_frame_with_one_anchor(calls, tmp_path):
    Image.fromarray(noise_frames(1)[0]).save(tmp_path / "0.png")

    steps = list(segment_video(calls["model"], open_frames(tmp_path / "0.png"), ["it", "that"]))

    assert len(steps) == 1 and one_image(calls, sentences=2), inputs(calls)


def test_a_video_of_one_frame_is_still_a_video(calls, tmp_path):
    Image.fromarray(noise_frames(1)[0]).save(tmp_path / "0.png")

    list(segment_video(calls["model"], open_frames(tmp_path), ["it"]))

    clips = {"paper": 1, "released": 2}[calls["model"].config.behaviour.name]
    assert calls["images"] == [] and sum(shape[0] for shape in calls["clips"]) == clips
    assert calls["fused"] == [{"paper": 1, "released": 8}[calls["model"].config.behaviour.name]]


def test_a_data_set_of_images_is_evaluated_on_single_frames(calls, tmp_path):
    make_reason_seg(tmp_path)
    (record, _) = open_dataset("reason-seg", tmp_path, "train").records

    predict(calls["model"], record, Predictions(tmp_path / "out"), Pass())

    assert one_image(calls, sentences=2), inputs(calls)


def test_a_question_about_an_image_shows_one_frame(calls, tmp_path):
    Image.fromarray(noise_frames(1)[0]).save(tmp_path / "0.png")
    model = calls["model"]

    (tokens,) = clip_tokens(model, open_frames(tmp_path / "0.png"))

    assert (
        tokens.embeds.shape[1] == model.vlm.umt.grid**2
    )  # fewer than the projector leaves of a clip
    assert len(calls["images"]) == 1 and calls["clips"] == []


@pytest.mark.parametrize("propagation", [False, True])
def test_training_on_an_image_makes_no_copy_of_it(calls, tmp_path, propagation):
    make_refer(tmp_path)
    mixture = open_mixture(tmp_path, sentences=2)
    draws = WindowDraws(windows=(32,), propagation=propagation)

    batch = WindowBatches(mixture, calls["model"], draws, seed=0).draw(0)
    forward.predict(calls["model"], batch, STAGES["propagation", "7b"][0].objective)

    frames = batch.frames
    assert (frames.window, frames.anchors, frames.tracked, frames.times) == ([0], [0], [], [0])
    assert frames.pixels.shape[:2] == (1, 1) and frames.clips.shape[:3] == (1, 1, 1)
    assert batch.truth.shape[:2] == (len(batch.sentences.texts), 1)
    assert one_image(calls), inputs(calls)


@pytest.mark.parametrize(
    ("make", "name"),
    [(make_refer, "refcoco"), (make_ade20k, "ade20k"), (make_reason_seg, "reason-seg")],
)
def test_records_of_image_data_sets_are_still_images(make, name, tmp_path):
    make(tmp_path)

    records = open_dataset(name, tmp_path, CATALOGUE[name].splits[0]).records

    assert records and all(record.still and len(record.frames) == 1 for record in records)


def test_an_image_has_as_many_visual_tokens_as_a_clip():
    model = real_model()  # the tiny preset as it is: 64, as in the release
    image = noise_frames(1)[0]
    with torch.inference_mode():
        tokens = model.encode_clip([model.clip_pixels(image)])
    assert tokens.embeds.shape[:2] == (1, 64)
