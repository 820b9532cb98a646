"""Whether a model reads the video: on a model that does, on a blind one and on garbage."""

from dataclasses import dataclass

from bars import watch_bars
import numpy as np
import pytest
import torch

from virst_model.evaluate.sight import (
    SightRun,
    measure,
    measure_reversed,
    mirrored,
    table,
)
from virst_model.model.features import Decoded, VisualTokens
from virst_model.synthetic.scenes import make_scene

RUN = SightRun(videos=3, per_kind=1, height=60, width=80)


@dataclass
class Features:
    """A frame, as a model without a network sees it."""

    picture: np.ndarray


class Model:
    """Answers from tokens that hold the frames' numbers; `scenes` are those that are looked at.

    Tokens are a row a frame: the seed of the scene and the time. What `masks` makes of them and of
    the true scene is the answer.
    """

    def __init__(self, run: SightRun, masks) -> None:
        self.run, self._masks = run, masks
        self._known: dict[bytes, tuple[int, int]] = {}

    def encode_frame(self, frame_HW3: np.ndarray) -> Features:
        return Features(frame_HW3)

    def clip_pixels(self, frame_HW3: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frame_HW3.astype(np.float32))

    def encode_clip(self, pixels_T) -> VisualTokens:
        return VisualTokens(torch.stack([p.flatten() for p in pixels_T])[None])

    def join_clips(self, clips) -> VisualTokens:
        return VisualTokens.join(clips)

    def ground_tokens(self, tokens: VisualTokens, features, text: str) -> torch.Tensor:
        seen = tokens.embeds.flatten(0, 1)
        own = torch.stack([torch.from_numpy(f.picture.astype(np.float32)).flatten()
                           for f in features])  # fmt: skip
        self._text = text
        same = (seen == own).all() if seen.shape == own.shape else torch.tensor(False)
        self._answer = self._masks(bool(same), bool(seen.any()))
        return torch.zeros(len(features), 1, 1)

    def decode_anchor(self, features: Features, prompts_NC: torch.Tensor) -> Decoded:
        logits, raw = self._answer(features.picture)
        return Decoded(
            torch.from_numpy(logits)[None],
            torch.from_numpy(raw)[None],
            torch.ones(1),
            torch.ones(1),
            torch.zeros(1, 1),
        )


def bright(picture: np.ndarray) -> np.ndarray:
    """Logits of some mask: what is colourful in the picture."""
    spread = picture.max(axis=2).astype(np.float32) - picture.min(axis=2)
    return spread - 60


def all_absent(picture: np.ndarray) -> np.ndarray:
    return np.full(picture.shape[:2], -9.0, np.float32)


def blind(own: bool, anything: bool):
    return lambda picture: (bright(picture), bright(picture))


def seeing(own: bool, anything: bool):
    mask = bright if own else all_absent
    return lambda picture: (mask(picture), mask(picture))


def emptied(own: bool, anything: bool):
    """Blind, but for a head that calls everything absent on a foreign video."""
    published = bright if own else all_absent
    return lambda picture: (published(picture), bright(picture))


def test_a_blind_model_has_no_margin():
    rows = measure(Model(RUN, blind), RUN)

    assert rows["overall"]["own"]["published"] > 5
    assert rows["overall"]["margin"] == {"published": 0.0, "raw": 0.0}


def test_a_model_that_sees_has_a_margin_in_both():
    margin = measure(Model(RUN, seeing), RUN)["overall"]["margin"]

    assert margin["published"] == margin["raw"] > 5


def test_a_model_that_empties_masks_on_a_foreign_video_is_found_out_by_the_raw_logits():
    margin = measure(Model(RUN, emptied), RUN)["overall"]["margin"]

    assert margin["published"] > 5 and margin["raw"] == 0.0


def test_sentences_without_a_target_are_left_out():
    rows = measure(Model(RUN, blind), RUN)

    assert "none" not in rows
    numbers = [row["number"] for kind, row in rows.items() if kind != "overall"]
    assert rows["overall"]["number"] == sum(numbers)


def test_the_margin_is_over_the_better_of_the_others():
    def half_blind(own: bool, anything: bool):
        return blind(own, anything) if anything else seeing(own, anything)

    margin = measure(Model(RUN, half_blind), RUN)["overall"]["margin"]

    assert margin["raw"] == 0.0  # other clip tokens give the same mask, zeros do not


@pytest.mark.parametrize(("window", "anchors"), [(4, (3,)), (8, (2, 6)), (16, (4, 12))])
def test_anchors_lie_at_a_quarter_and_three(window, anchors):
    assert SightRun(window=window).anchors == anchors


def test_clips_that_would_begin_with_a_picture_that_stands_still_are_not_played_backwards():
    with pytest.raises(ValueError, match="window is 4, reversed needs 8 or more"):
        measure_reversed(Model(RUN, blind), SightRun(window=4))


def test_a_window_of_no_whole_clips_is_refused():
    with pytest.raises(ValueError, match="window is 6"):
        SightRun(window=6)


def test_mirrored_sentences_mean_another_object():
    found = 0
    for seed in range(60):
        scene = make_scene(seed, "test", duration_s=4.0)
        for text, ids, other in mirrored(scene):
            found += 1
            assert len(ids) == len(other) == 1 and ids != other
            assert scene.answer(text) == ids
    assert found > 5


def test_backwards_a_model_that_sees_goes_over_a_blind_one_does_not_and_garbage_does_by_lot():
    run = SightRun(videos=1, per_kind=1, height=60, width=80, window=8)

    class Watcher(Model):
        """Knows the scene by its pictures, and takes motions from the order of its tokens."""

        def __init__(self, reads: bool, garbage: bool = False) -> None:
            super().__init__(run, blind)
            self._reads, self._garbage = reads, garbage

        def ground_tokens(self, tokens, features, text):
            self._backwards = self._reads and not torch.equal(
                tokens.embeds.flatten(0, 1)[0],
                torch.from_numpy(features[0].picture.astype(np.float32)).flatten(),
            )
            self._asked = text
            return torch.zeros(len(features), 1, 1)

        def decode_anchor(self, features, prompts_NC):
            text = self._asked
            if self._backwards and self._garbage:
                noise = np.random.default_rng(0).normal(size=features.picture.shape[:2])
                tensors = torch.from_numpy(noise.astype(np.float32))[None]
                return Decoded(tensors, tensors, torch.ones(1), torch.ones(1), torch.zeros(1, 1))
            if self._backwards:
                swap = {"left": "right", "right": "left", "up": "down", "down": "up"}
                text = " ".join(swap.get(word, word) for word in text.split())
            for scene, ids in self.frames[features.picture.tobytes()]:
                answer = scene.answer(text)
                mask = np.where(np.isin(ids, answer), 9.0, -9.0).astype(np.float32)
            tensors = torch.from_numpy(mask)[None]
            return Decoded(tensors, tensors, torch.ones(1), torch.ones(1), torch.zeros(1, 1))

    def known(watcher: Watcher) -> Watcher:
        watcher.frames = {}
        original = make_scene

        def remember(seed, split, duration_s):
            scene = original(seed, split, duration_s=duration_s)
            for i in range(run.window):
                picture, ids = scene.render(i * run.period_s, run.height, run.width)
                watcher.frames.setdefault(picture.tobytes(), []).append((scene, ids))
            return scene

        watcher.make = remember
        return watcher

    for reads, garbage, least, most in (
        (True, False, 100.0, 100.0),
        (False, False, 0.0, 0.0),
        (True, True, 20.0, 80.0),  # by lot, though its margin is that of one that sees
    ):
        watcher = known(Watcher(reads, garbage))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("virst_model.evaluate.sight.MIRRORED_SENTENCES", 6)
            patch.setitem(
                __import__("virst_model.evaluate.sight", fromlist=["MAKERS"]).MAKERS,
                "scenes",
                watcher.make,
            )
            found = measure_reversed(watcher, run)
        assert found["number"] >= 6
        assert least <= found["share"] <= most and found["own"] == 100.0


def test_the_bar_counts_frames_as_they_are_encoded(monkeypatch):
    bars = watch_bars(monkeypatch, "virst_model.evaluate.sight")
    seen = []

    class Watched(Model):
        def encode_frame(self, frame_HW3):
            seen.append(bars[-1].n)
            return super().encode_frame(frame_HW3)

    measure(Watched(RUN, blind), RUN)

    (bar,) = bars
    assert bar.unit == "frame" and bar.total == RUN.videos * RUN.window
    assert seen == list(range(bar.total))


def test_the_table_has_a_row_a_kind():
    rows = measure(Model(RUN, seeing), RUN)

    assert all(f"| {kind} |" in table(rows) for kind in rows)
