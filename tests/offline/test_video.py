"""A whole video: sampling, anchors, memory, and frames that cannot be read."""

from collections import Counter
from dataclasses import dataclass, replace
import gc
import json

import cv2
from golden import FOLDER, need
import numpy as np
from PIL import Image
import pytest
from streams import ColourModel, bars, frame, noise_frames, real_model, smallest, upsample
import torch

from virst_model.config import BehaviourConfig, behaviour, full, tiny
from virst_model.errors import FileError
from virst_model.frames import Frame, open_frames
from virst_model.model.anchors import anchor_candidates, anchor_indices
from virst_model.model.memory import Memory
from virst_model.offline.sampling import sample_frames
from virst_model.offline.video import clip_tokens, segment_video

PAPER, RELEASED = behaviour("paper"), behaviour("released")


@dataclass
class Pictures:
    """Frames in memory; None is one that cannot be read."""

    images: list
    length: int = 0
    path: str = "pictures"
    rate_hz: float = 10.0

    def __post_init__(self):
        self.length = self.length or len(self.images)

    def __iter__(self):
        for index, image in enumerate(self.images):
            read = lambda i=index, x=image: self._read(i, x)  # noqa: E731
            yield Frame(index, index / self.rate_hz, f"{index:05d}", read)
        self.length = len(self.images)

    def _read(self, index, image):
        if image is None:
            raise FileError(self.path, f"frame {index} cannot be decoded")
        return image


def moving(count):
    """A red bar that goes one column to the right every 5 frames, and a blue one that stays."""
    return [frame(t, red=t // 5 % 7, blue=7) for t in range(count)]


def with_behaviour(model, **changes):
    model.config = replace(model.config, behaviour=replace(model.config.behaviour, **changes))
    return model


@pytest.fixture(scope="module", autouse=True)
def _one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recorded_sampling():
    path = FOLDER / "anchors.json"
    need(path.is_file(), path.name)
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def tiny_model():
    return real_model()


# Sampling.


def test_random_draws_are_those_of_the_release_for_its_seed():
    for length, expected in recorded_sampling()["eval_sampling_restated"].items():
        sample = sample_frames(int(length), RELEASED, seed=42)

        assert list(sample.vlm) == expected["sampled_video_frames"], length
        assert list(sample.fused) == expected["sam_video_frames"], length


def test_middles_are_those_of_the_release():
    checked = 0
    for key, expected in recorded_sampling()["get_frame_indices"].items():
        if not key.startswith("middle,"):
            continue
        values = dict(value.split("=") for value in key.split(",")[1:])
        length, count = int(values["vlen"]), int(values["num_frames"])
        if count % 4 or len(set(expected)) != count:
            continue  # videos too short for the number
        limits = replace(PAPER, vlm_frames=count, stf_frames=count)
        assert list(sample_frames(length, limits).vlm) == expected, key
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", ["paper", "released"])
def test_samples_are_in_order_in_fours_and_bounded(name):
    switches = behaviour(name)
    for length in range(1, 200):
        sample = sample_frames(length, switches, seed=length)

        assert len(sample.vlm) % 4 == 0
        assert len(sample.vlm) <= switches.vlm_frames and len(sample.fused) <= 32
        assert set(sample.fused) <= set(sample.vlm) <= set(range(length))
        assert sorted(sample.vlm) == list(sample.vlm)
        assert sorted(sample.fused) == list(sample.fused)


def test_short_videos_fill_one_clip_in_the_paper_and_eight_frames_in_the_release():
    paper, released = sample_frames(3, PAPER), sample_frames(3, RELEASED)

    assert paper.vlm == (0, 1, 2, 2) and paper.fused == (0, 1, 2)
    assert released.vlm == released.fused == (0, 1, 2, 2, 2, 2, 2, 2)


def test_fusion_sees_an_even_subset_where_the_vlm_sees_more():
    sample = sample_frames(200, replace(PAPER, vlm_frames=64))

    places = [sample.vlm.index(i) for i in sample.fused]
    assert places == list(range(0, 64, 2))


def test_a_seed_draws_again_what_it_drew():
    assert sample_frames(90, RELEASED, 3) == sample_frames(90, RELEASED, 3)
    assert sample_frames(90, RELEASED, 3) != sample_frames(90, RELEASED, 4)


@pytest.mark.parametrize(
    "length, switches",
    [
        (0, PAPER),
        (9, BehaviourConfig(vlm_frames=2)),
    ],
)
def test_what_cannot_be_sampled_is_an_error(length, switches):
    with pytest.raises(ValueError):
        sample_frames(length, switches)


# Anchors: Table 5.


def test_anchor_strategies_choose_what_they_are_called_after():
    assert anchor_candidates("dynamic", 32) == anchor_indices(32)
    assert anchor_candidates("first", 32) == [0]
    assert anchor_candidates("uniform3", 32) == [0, 16, 31]
    scores = [0.1, 0.9, 0.3, 0.9, 0.5]
    assert anchor_candidates("guided", 5, scores=scores) == [1]  # the earlier of equals


def test_single_frame_baselines_have_one_anchor_however_long_the_window():
    for frames in (1, 3, 8, 32):
        scores = [-1.0 * ((t - 2) ** 2) for t in range(frames)]
        assert anchor_candidates("first", frames) == [0]
        assert anchor_candidates("guided", frames, scores=scores) == [min(2, frames - 1)]


def test_random_anchors_are_three_and_repeat_with_their_seed():
    drawn = [tuple(anchor_candidates("random3", 32, seed)) for seed in range(20)]

    assert drawn == [tuple(anchor_candidates("random3", 32, seed)) for seed in range(20)]
    assert len(set(drawn)) > 10
    assert all(len(set(d)) == 3 and sorted(d) == list(d) and d[-1] < 32 for d in drawn)


def test_every_strategy_has_an_anchor_in_a_single_frame():
    for strategy in ("dynamic", "first", "random3", "uniform3", "guided"):
        assert anchor_candidates(strategy, 1, scores=[0.5]) == [0]


@pytest.mark.parametrize("strategy", ["guided", "newest"])
def test_a_strategy_that_cannot_choose_is_an_error(strategy):
    with pytest.raises(ValueError, match=strategy):
        anchor_candidates(strategy, 8, scores=[0.0])


# Files.


def write_video(path, images, code="MJPG"):
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*code), 12.0, images[0].shape[1::-1]
    )
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def damage(path, number):
    """Zeroes a JPEG in an AVI file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"movi")
    for _ in range(number + 1):
        at = data.index(b"00dc", at + 1)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(data)


def readable(frames):
    """Which frames can be read."""
    answers = []
    for picture in frames:
        try:
            picture.read()
            answers.append(True)
        except FileError:
            answers.append(False)
    return answers


def test_a_video_file_gives_its_frames_twice(tmp_path):
    images = moving(9)
    frames = open_frames(write_video(tmp_path / "a.avi", images))

    assert frames.length == 9 and frames.rate_hz == 12.0
    for _ in range(2):
        read = [(f.index, f.name, f.read()) for f in frames]
        assert [r[:2] for r in read] == [(i, f"{i:05d}") for i in range(9)]
        errors = [np.abs(r[2].astype(int) - i).mean() for r, i in zip(read, images, strict=True)]
        assert max(errors) < 12  # JPEG


def test_a_damaged_frame_of_a_video_file_keeps_its_place(tmp_path):
    path = write_video(tmp_path / "a.avi", moving(20))
    damage(path, 7)
    damage(path, 8)

    frames = open_frames(path)

    assert [i for i, ok in enumerate(readable(frames)) if not ok] == [7, 8]
    assert frames.length == 20


def test_a_video_file_that_ends_early_is_as_long_as_it_is(tmp_path, caplog):
    path = write_video(tmp_path / "a.avi", moving(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = open_frames(path)
    assert frames.length == 40  # says the header

    results = list(segment_video(ColourModel(), frames, ["red"]))

    assert 10 < len(results) < 30 and frames.length == len(results)
    assert str(path) in caplog.text


def test_images_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 100, 1):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"img{number}.png")
    (tmp_path / "notes.txt").write_text("no image")

    frames = list(open_frames(tmp_path))

    assert [f.name for f in frames] == ["img1", "img9", "img10", "img100"]
    assert [f.read()[0, 0, 0] for f in frames] == [1, 9, 10, 100]


def test_a_truncated_image_is_named_and_not_filled_with_grey(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(noise_frames(1)[0]).save(path)
    path.write_bytes(path.read_bytes()[:-400])

    (picture,) = open_frames(path)
    with pytest.raises(FileError) as caught:
        picture.read()

    assert str(caught.value).startswith(f"{path}: cannot be read (")


def bad_inputs(folder):
    (folder / "empty").mkdir()
    (folder / "twice").mkdir()
    for suffix in ("jpg", "png"):
        Image.new("RGB", (4, 4)).save(folder / "twice" / f"7.{suffix}")
    (folder / "text.mp4").write_text("not a video " * 100)
    (folder / "nothing.mp4").touch()
    return {
        folder / "missing.mp4": "no such file",
        folder / "empty": "holds no images",
        folder / "twice": "two images are called 7",
        folder / "text.mp4": "is not a video",
        folder / "nothing.mp4": "is not a video",
    }


def test_what_is_no_video_is_an_error_with_its_path_and_why(tmp_path):
    for path, reason in bad_inputs(tmp_path).items():
        with pytest.raises(FileError) as caught:
            open_frames(path)
        assert str(caught.value).startswith(f"{path}: {reason}")
        assert "\n" not in str(caught.value)


# The whole way, on a model that sees colours.


def test_every_frame_has_the_mask_of_every_sentence():
    results = [r for _, r in segment_video(ColourModel(), Pictures(moving(50)), ["red", "blue"])]

    assert [r.t for r in results] == list(range(50))
    for t, result in enumerate(results):
        red, blue = result.results
        assert bars(red.mask_HW) == [t // 5 % 7] and bars(blue.mask_HW) == [7]
        assert (red.id, red.label, blue.id, blue.label) == (1, 1, 2, 2)


def test_each_frame_is_encoded_once_and_each_clip_too():
    model = ColourModel()

    list(segment_video(model, Pictures(moving(50)), ["red", "blue"]))

    assert sorted(model.encoded) == list(range(50))
    assert model.clips == 8


def test_anchors_come_first_and_are_not_tracked():
    model = ColourModel()

    list(segment_video(model, Pictures(moving(50)), ["red"]))

    sample = sample_frames(50, PAPER)
    anchors = [sample.fused[place] for place in anchor_indices(32)]
    assert model.grounded == [("red", list(sample.fused))]
    assert model.decoded == anchors
    assert model.replayed == [t for t in range(50) if t not in anchors]


def test_frames_before_the_first_anchor_are_tracked_from_later_ones():
    model = with_behaviour(ColourModel(), anchors="uniform3")
    sample = sample_frames(200, PAPER)
    assert sample.fused[0] == 2  # the middle of frames 0 to 5

    results = [r for _, r in segment_video(model, Pictures(moving(200)), ["red"])]

    assert bars(results[0].results[0].mask_HW) == [0]


def test_memory_knows_the_length_of_the_video(monkeypatch):
    lengths = []
    read = Memory.read
    monkeypatch.setattr(
        Memory, "read", lambda self, t, length=None: lengths.append(length) or read(self, t)
    )

    list(segment_video(ColourModel(), Pictures(moving(12)), ["red"]))

    assert set(lengths) == {12}


def test_memory_does_not_grow_with_the_video():
    def live_tensors():
        gc.collect()
        return sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())

    counts = {}
    for picture, _ in segment_video(ColourModel(), Pictures(moving(400)), ["red"]):
        if picture.index in (50, 399):
            counts[picture.index] = live_tensors()

    assert counts[399] <= counts[50]


def test_guided_anchors_follow_the_scorer():
    model = with_behaviour(ColourModel(), anchors="guided")
    texts = []

    def scorer(image_HW3, text):
        texts.append(text)
        t = int(image_HW3[0, 0, 0])
        return -abs(t - (10 if text == "red" else 30))

    list(segment_video(model, Pictures(moving(40)), ["red", "blue"], scorer=scorer))

    sampled = sample_frames(40, PAPER).fused
    assert model.decoded == [min(sampled, key=lambda i: (abs(i - t), i)) for t in (10, 30)]
    assert sorted(set(texts)) == ["blue", "red"] and len(texts) == 64


def test_guided_anchors_without_a_scorer_are_an_error():
    model = with_behaviour(ColourModel(), anchors="guided")
    with pytest.raises(ValueError, match="scorer"):
        next(segment_video(model, Pictures(moving(4)), ["red"]))


def test_a_still_image_is_one_frame_for_the_fusion_and_one_clip_for_the_vlm():
    model = ColourModel()

    ((picture, result),) = segment_video(model, Pictures(moving(1)), ["blue"])

    assert picture.index == 0 and bars(result.results[0].mask_HW) == [7]
    assert model.clips == 1 and model.grounded == [("blue", [0])]


def test_frames_may_differ_in_size():
    images = [np.repeat(x, 2, axis=0) if t % 2 else x for t, x in enumerate(moving(9))]

    results = [r for _, r in segment_video(ColourModel(), Pictures(images), ["red"])]

    assert [r.results[0].mask_HW.shape for r in results] == [x.shape[:2] for x in images]


# Frames that cannot be read.


def test_a_frame_that_cannot_be_read_is_tracked_on_the_picture_before_it(caplog):
    model = ColourModel()
    images = moving(60)
    images[26] = images[27] = None

    pairs = list(segment_video(model, Pictures(images), ["red"]))

    assert [p.source for p, _ in pairs[24:30]] == [24, 25, 25, 25, 28, 29]
    assert [p.name for p, _ in pairs[26:28]] == ["00026", "00027"]
    assert all(bars(r.results[0].mask_HW) == [25 // 5] for _, r in pairs[25:28])
    assert not {26, 27} & set(model.decoded)
    messages = [r.getMessage() for r in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("pictures: frame 26 cannot be decoded")


def test_the_next_readable_frame_is_sampled_instead_of_one_that_cannot_be_read():
    model = ColourModel()
    sample = sample_frames(64, PAPER)
    broken = sample.fused[0]
    images = moving(64)
    images[broken] = None

    list(segment_video(model, Pictures(images), ["red"]))

    assert model.grounded[0][1][:2] == [broken + 1, sample.fused[1]]
    assert broken + 1 in model.decoded


def test_unreadable_first_and_last_frames_show_the_nearest_readable():
    images = moving(20)
    images[0] = images[1] = images[18] = images[19] = None

    pairs = list(segment_video(ColourModel(), Pictures(images), ["blue"]))

    assert [p.source for p, _ in pairs] == [2, 2, *range(2, 18), 17, 17]
    assert [p.index for p, _ in pairs] == list(range(20))
    assert all(bars(r.results[0].mask_HW) == [7] for _, r in pairs)


def test_a_video_without_a_readable_frame_is_an_error():
    for images in ([], [None] * 5):
        with pytest.raises(FileError, match="pictures: holds no frame"):
            next(segment_video(ColourModel(), Pictures(images), ["red"]))


def test_a_video_shorter_than_it_says_is_sampled_over_what_there_is():
    model = ColourModel()

    results = list(segment_video(model, Pictures(moving(40), length=400), ["red"]))

    assert model.grounded == [("red", list(sample_frames(40, PAPER).fused))]
    assert len(results) == 40


# The whole way, on the real tiny model with random weights.


def test_sentences_together_are_sentences_alone(tiny_model):
    frames = Pictures(noise_frames(20))
    texts = ["the red circle", "the square on the left"]

    together = [r for _, r in segment_video(tiny_model, frames, texts)]
    alone = [[r for _, r in segment_video(tiny_model, frames, [text])] for text in texts]

    for t, result in enumerate(together):
        for q, answer in enumerate(result.results):
            other = alone[q][t].results[0]
            assert answer.score == pytest.approx(other.score, abs=1e-4)
            assert answer.presence == pytest.approx(other.presence, abs=1e-4)
            assert (answer.mask_HW != other.mask_HW).mean() < 1e-3  # logits next to 0


def test_the_tracks_are_those_of_the_models_own_parts(tiny_model):
    """Frame by frame in the order of the release: all anchors, then the rest by their numbers."""
    images = noise_frames(12)
    features = [tiny_model.encode_frame(x) for x in images]
    pixels = [tiny_model.clip_pixels(x) for x in images]
    clips = [tiny_model.encode_clip(pixels[i : i + 4]) for i in (0, 4, 8)]
    memory, expected = Memory(tiny_model.config, None), {}
    with torch.inference_mode():
        prompts = tiny_model.ground(clips, features, "the red circle")
        for t in (0, 6, 11):
            expected[t] = tiny_model.decode_anchor(features[t], prompts[t])
            memory.write_anchor(t, tiny_model.encode_memory(features[t], expected[t]))
        for t in sorted({*range(12)} - {0, 6, 11}):
            expected[t] = tiny_model.propagate(features[t], [memory.read(t, 12)])
            memory.write(t, tiny_model.encode_memory(features[t], expected[t]))

    frames = Pictures(images)
    for picture, result in segment_video(tiny_model, frames, ["the red circle"]):
        decoded = expected[picture.index]
        assert result.results[0].score == pytest.approx(float(decoded.score), abs=1e-5)
        mask = upsample(decoded, 48, 64)[0] > 0
        assert (result.results[0].mask_HW != mask.numpy()).mean() < 1e-3


def test_a_second_anchor_on_one_frame_takes_the_first_ones_logits(monkeypatch):
    model = with_behaviour(real_model(smallest()), **vars(RELEASED))
    calls = []
    decode = model.segmenter.decode_prompted

    def spy(features, prompts, previous=None, multimask=None):
        decoded = decode(features, prompts, previous, multimask)
        calls.append((prompts, previous, decoded))
        return decoded

    monkeypatch.setattr(model.segmenter, "decode_prompted", spy)

    ((_, result),) = segment_video(model, Pictures(noise_frames(1)), ["the red circle"])

    (first, none, first_decoded), (second, previous, second_decoded) = calls
    assert none is None and torch.equal(previous, first_decoded.logits)
    assert not torch.equal(first, second)  # prompts of places 0 and 7
    assert result.results[0].score == pytest.approx(float(second_decoded.score))


@pytest.mark.parametrize(
    ("name", "most", "resizes"),
    [
        ("paper", 32, {"bilinear": 14}),
        ("paper", 4, {"bilinear": 14}),
        ("released", 32, {"bilinear": 12, "bicubic": 14}),
        ("released", 4, {"bilinear": 4, "bicubic": 14}),  # only what the fusion sees
    ],
)
def test_frames_are_encoded_once_but_where_the_release_resizes_them_twice(
    monkeypatch, name, most, resizes
):
    switches = vars(behaviour(name)) | {"stf_frames": most}
    model = with_behaviour(real_model(smallest()), **switches)
    calls, fused, segmented = [], [], []
    encode, ground, decode = model.encode_frame, model.ground, model.decode_anchor

    def spy_encode(image_HW3, resize="bilinear"):
        calls.append((resize, encode(image_HW3, resize)))
        return calls[-1][1]

    def spy_ground(clips, features, *rest, **named):
        fused.extend(features)
        return ground(clips, features, *rest, **named)

    def spy_decode(features, *rest):
        segmented.append(features)
        return decode(features, *rest)

    monkeypatch.setattr(model, "encode_frame", spy_encode)
    monkeypatch.setattr(model, "ground", spy_ground)
    monkeypatch.setattr(model, "decode_anchor", spy_decode)

    list(segment_video(model, Pictures(noise_frames(14)), ["the red circle"]))

    assert Counter(resize for resize, _ in calls) == resizes
    resize_of = {id(features): resize for resize, features in calls}
    assert {resize_of[id(features)] for features in fused} == {"bilinear"}
    tracking = model.config.behaviour.tracking_resize
    assert {resize_of[id(features)] for features in segmented} == {tracking}


@pytest.mark.parametrize("name", ["paper", "released"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_goes_the_whole_way(name, dtype):
    model = with_behaviour(real_model(smallest()).to(dtype), **vars(behaviour(name)))

    for length in (1, 10):
        frames = Pictures(noise_frames(length))
        results = [r for _, r in segment_video(model, frames, ["the red circle"])]
        assert len(results) == length
        assert all(np.isfinite(r.results[0].score) for r in results)


def test_clip_tokens_are_one_clip_of_every_four_sampled_frames(tiny_model):
    tokens = clip_tokens(tiny_model, Pictures(noise_frames(14)))

    config = tiny_model.config
    assert [t.embeds.shape for t in tokens] == [(1, config.tome.tokens, config.llm.hidden)] * 3


# Preprocessing: the release resizes with Pillow.

SIZES = [(67, 41), (360, 640), (720, 1280), (97, 173), (1080, 1920), (128, 128), (53, 211)]


@pytest.fixture(scope="module", params=["tiny", "7b"])
def pixels_model(request):
    """A small model that takes its frames at the sides of a preset; its weights are not used."""
    model = real_model(smallest())
    sides = tiny() if request.param == "tiny" else full()
    model.config = replace(
        model.config,
        umt=replace(model.config.umt, side=sides.umt.side),
        segmenter=replace(model.config.segmenter, side=sides.segmenter.side),
    )
    return model


def blocks(height, width):
    """Blocks of random colours, 4 pixels wide: edges as hard as they get, ringing with bicubic."""
    coarse = np.random.default_rng(0).integers(
        0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8
    )
    return np.ascontiguousarray(coarse.repeat(4, 0).repeat(4, 1)[:height, :width])


def off_pillow(pixels, image, rule):
    """The largest difference, before the normalisation, in grey levels."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    pillow = np.asarray(Image.fromarray(image).resize(pixels.shape[1:], rule))
    ours = (pixels * std + mean).permute(1, 2, 0).numpy() * 255
    return np.abs(ours - pillow).max()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_frames_pixels_are_pillows_to_one_grey_level(pixels_model, size):
    image = blocks(*size)
    pixels = pixels_model.frame_pixels(image)
    assert off_pillow(pixels, image, Image.BILINEAR) < 1.001


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_tracked_frames_pixels_are_pillows_bicubic_in_the_release(pixels_model, size):
    image = blocks(*size)
    pixels = pixels_model.frame_pixels(image, RELEASED.tracking_resize)
    assert off_pillow(pixels, image, Image.BICUBIC) < 1.001


def test_another_resize_is_refused_by_name(pixels_model):
    with pytest.raises(ValueError, match=r"'nearest'.*bilinear, bicubic"):
        pixels_model.frame_pixels(blocks(8, 8), "nearest")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_clips_pixels_are_pillows_to_one_grey_level(pixels_model, size):
    image = blocks(*size)
    pixels = pixels_model.clip_pixels(image)
    assert off_pillow(pixels, image, Image.BICUBIC) < 1.001
