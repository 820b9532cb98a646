"""Windows whose encoders' work is done once: the same with and without the files."""

import copy
from dataclasses import replace
from pathlib import Path
import shutil

import numpy as np
import pytest
from streams import smallest
import torch

from virst_model import synthetic
from virst_model.checkpoints.load import build
from virst_model.synthetic.photographs import Photographs
from virst_model.synthetic.world import render_all, sentences_of_piece
from virst_model.train import cache
from virst_model.train.cache import (
    SHARD,
    CachedBatches,
    CachedWindows,
    WindowMaker,
    fused_frames,
    length_of,
)
from virst_model.train.criterion import criterion
from virst_model.train.forward import predict
from virst_model.train.stage import CachedDraws
from virst_model.train.stages import POINTING

DRAWS = CachedDraws(count=2 * SHARD, scenes=2, sentences=3, windows=(4, 8), anchors=2, least_s=0.8)


@pytest.fixture(scope="module")
def model():
    return build(replace(smallest(), pointing=True), seed=1)


@pytest.fixture(scope="module")
def kept(model, tmp_path_factory) -> CachedWindows:
    windows = CachedWindows(
        WindowMaker(model, DRAWS), tmp_path_factory.mktemp("windows"), 2 * SHARD
    )
    windows.fill()
    return windows


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize("in_words", [0.0, 1.0])
def test_batches_are_the_same_from_files_and_without_bit_for_bit(model, kept, in_words):
    draws, asked = replace(DRAWS, in_words=in_words), 0
    for number in range(5):
        anew = CachedBatches(WindowMaker(model, draws), draws, seed=5).draw(number)
        read = CachedBatches(kept, draws, seed=5).draw(number)

        asked += anew.sentences.answers is not None  # of windows without a question: sentences
        assert torch.equal(anew.truth, read.truth)
        assert anew.sentences.texts == read.sentences.texts
        assert anew.sentences.answers == read.sentences.answers
        assert anew.frames.window == read.frames.window
        for name in ("clips", "s0", "s1", "s2"):
            known, again = (getattr(b.frames.known, name) for b in (anew, read))
            assert torch.equal(known, again), name
    assert asked > 2 if in_words else asked == 0


def test_windows_of_a_file_are_of_one_length_and_fused_at_the_same_frames():
    lengths = {length_of(DRAWS, number) for number in range(SHARD)}
    frames = {tuple(fused_frames(DRAWS, number)) for number in range(SHARD)}

    assert len(lengths) == len(frames) == 1
    assert {length_of(DRAWS, SHARD * n) for n in range(20)} == {4, 8}


def test_files_that_are_there_are_not_made_again(model, tmp_path):
    draws = replace(DRAWS, count=SHARD, windows=(4,))
    CachedWindows(WindowMaker(model, draws), tmp_path, SHARD).fill()
    (before,) = files(tmp_path)
    written = before.stat().st_mtime_ns

    CachedWindows(WindowMaker(model, draws), tmp_path, SHARD).fill()

    assert files(tmp_path) == [before] and before.stat().st_mtime_ns == written


def test_an_interrupted_file_is_made_anew(model, tmp_path):
    draws = replace(DRAWS, count=SHARD, windows=(4,))
    windows = CachedWindows(WindowMaker(model, draws), tmp_path, SHARD)
    (tmp_path / WindowMaker(model, draws).key).mkdir()
    (tmp_path / WindowMaker(model, draws).key / "00000.part").write_bytes(b"half")

    windows.fill()

    assert windows.read(3).ids.any()


def test_encoders_in_half_precision_make_nearly_the_same_window(model):
    """What does not train is rounded before windows are made, by default on a GPU."""
    rounded = copy.deepcopy(model)
    for encoder in (rounded.vlm.umt, rounded.segmenter):
        encoder.to(torch.bfloat16)

    own, other = (WindowMaker(each, DRAWS).make(0) for each in (model, rounded))

    for name in ("clips", "s2"):
        exact, found = (getattr(window, name).astype(np.float32) for window in (own, other))
        assert np.abs(found - exact).mean() < 0.05 * np.abs(exact).mean()
    assert np.array_equal(own.ids, other.ids)


def test_another_encoder_has_other_windows(model):
    other = build(replace(smallest(), pointing=True), seed=2)

    assert WindowMaker(model, DRAWS).key != WindowMaker(other, DRAWS).key


def test_another_language_model_has_the_same_windows(model):
    other = build(replace(smallest(), pointing=True), seed=1)
    torch.nn.init.normal_(other.vlm.llm.model.layers[0].self_attn.q_proj.weight)

    assert WindowMaker(model, DRAWS).key == WindowMaker(other, DRAWS).key


@pytest.mark.parametrize("change", [{"stories": 0.1}, {"filmed": 0.0}, {"seed": 1}])
def test_other_draws_have_other_windows(model, change):
    assert WindowMaker(model, DRAWS).key != WindowMaker(model, replace(DRAWS, **change)).key


@pytest.mark.parametrize("change", [{"scenes": 1}, {"sentences": 1}, {"anchors": 0}])
def test_stages_that_ask_otherwise_share_their_windows(model, change):
    assert WindowMaker(model, DRAWS).key == WindowMaker(model, replace(DRAWS, **change)).key


def test_a_drawing_that_changed_has_other_windows(model, monkeypatch):
    before = WindowMaker(model, DRAWS).key

    def darker(*arguments):
        pictures, ids = render_all(*arguments)
        return pictures // 2, ids

    monkeypatch.setattr("virst_model.train.cache.render_all", darker)

    assert WindowMaker(model, DRAWS).key != before


def test_a_sentence_that_is_said_otherwise_makes_other_windows(model, monkeypatch):
    before = WindowMaker(model, DRAWS).key

    def politer(*arguments):
        return [replace(s, text=f"please: {s.text}") for s in sentences_of_piece(*arguments)]

    monkeypatch.setattr("virst_model.train.cache.sentences_of_piece", politer)

    assert WindowMaker(model, DRAWS).key != before


def test_code_that_draws_what_hardly_ever_happens_makes_other_windows(
    model, monkeypatch, tmp_path
):
    """As none of the windows shows that are drawn to see what is drawn."""
    before = WindowMaker(model, DRAWS).key
    copied = Path(shutil.copytree(Path(synthetic.__file__).parent, tmp_path / "synthetic"))
    monkeypatch.setattr(synthetic, "__file__", str(copied / "__init__.py"))
    assert WindowMaker(model, DRAWS).key == before

    with (copied / "distractors.py").open("a", encoding="utf-8") as file:
        file.write("_MOST = 3\n")

    assert WindowMaker(model, DRAWS).key != before


def test_other_photographs_make_other_windows(model):
    one, other = (Photographs((np.full((40, 40, 3), level, np.uint8),), ()) for level in (60, 61))

    assert WindowMaker(model, DRAWS, one).key != WindowMaker(model, DRAWS, other).key
    assert WindowMaker(model, DRAWS, one).key == WindowMaker(model, DRAWS, one).key


def test_questions_about_windows_teach_the_language_model_words(model, kept):
    words = copy.deepcopy(model)
    batch = CachedBatches(kept, replace(DRAWS, in_words=1.0), seed=5).draw(0)

    prediction = predict(words, batch, POINTING[0].objective)
    terms = criterion(prediction, batch, POINTING[0].objective)
    terms.total(POINTING[0].objective).backward()

    assert set(terms.all) == {"ce"} and len(batch.sentences.answers) > 1
    assert words.vlm.llm.model.embed_tokens.weight.grad.abs().sum() > 0
    assert words.vlm.projector.mlp[0].weight.grad.abs().sum() > 0  # the clips were read


def test_words_weigh_as_much_as_the_stage_says(model, kept):
    batch = CachedBatches(kept, replace(DRAWS, in_words=1.0), seed=5).draw(0)
    objective = POINTING[0].objective
    terms = criterion(predict(model, batch, objective), batch, objective)

    assert objective.ce == 1.0 and terms.all["ce"] > 0
    louder = terms.total(replace(objective, ce=20.0))
    torch.testing.assert_close(louder, 20 * terms.total(objective))


def test_of_each_window_some_questions_are_chosen_by_lot(model, kept):
    draws = replace(DRAWS, in_words=1.0, scenes=1, sentences=2)
    batches = CachedBatches(kept, draws, seed=5)
    asked = [set(batches.draw(number).sentences.texts) for number in range(200)]
    windows = [{q.text for q in kept.read(number).questions} for number in range(DRAWS.count)]

    assert max(map(len, asked)) == 2
    # Of some window, in several batches, more is asked than one batch asks.
    chosen = [set().union(*(texts for texts in asked if texts <= own)) for own in windows if own]
    assert max(map(len, chosen)) > 4


def test_the_truth_of_a_question_is_whom_it_says_to_look_at_in_its_own_window(model, kept):
    draws = replace(DRAWS, in_words=1.0)
    batches = CachedBatches(kept, draws, seed=5)
    several = (batches.draw(number) for number in range(50))
    asked = (batch for batch in several if batch.sentences.answers is not None)
    batch = next(b for b in asked if len(b.sentences.video.unique()) > 1)
    windows = [kept.read(number) for number in range(DRAWS.count)]

    assert batch.truth.any()
    for text, truth_THW in zip(batch.sentences.texts, batch.truth.numpy(), strict=True):
        own = [(w, q) for w in windows for q in w.questions if q.text == text]
        assert any(np.array_equal(truth_THW, np.isin(w.ids, q.ids)) for w, q in own)


def test_what_is_read_for_an_answer_is_learned_too(model, kept):
    words = copy.deepcopy(model)
    batch = CachedBatches(kept, replace(DRAWS, in_words=1.0), seed=5).draw(0)
    objective = next(stage.objective for stage in POINTING if stage.name == "words")

    terms = criterion(predict(words, batch, objective), batch, objective)
    terms.all["read"].backward()

    assert set(terms.all) == {"ce", "read"} and terms.all["read"] > 0
    assert words.vlm.llm.model.layers[-1].self_attn.q_proj.weight.grad.abs().sum() > 0


def test_a_window_that_shows_a_part_is_asked_nothing_of_the_whole(model):
    long = WindowMaker(model, replace(DRAWS, least_s=4.6))
    assert not any(long.make(number).questions for number in range(8))
    assert any(WindowMaker(model, DRAWS).make(number).questions for number in range(8))


def test_a_window_of_which_nothing_can_be_said_leaves_the_others_their_sentences(
    model, monkeypatch
):
    worlds = []

    def say(world, *piece):
        worlds.append(world)
        return [] if world is worlds[0] else sentences_of_piece(world, *piece)

    monkeypatch.setattr(cache, "sentences_of_piece", say)

    batch = CachedBatches(WindowMaker(model, DRAWS), DRAWS, seed=5).draw(0)

    assert batch.sentences.video.tolist() == [1, 1, 1]
    assert len(batch.truth) == 3


def test_windows_of_which_nothing_can_be_said_are_a_batch_that_asks_nothing(model, monkeypatch):
    monkeypatch.setattr(cache, "sentences_of_piece", lambda *piece: [])

    batch = CachedBatches(WindowMaker(model, DRAWS), DRAWS, seed=5).draw(0)

    assert batch.sentences.texts == () and len(batch.truth) == 0


def test_a_window_teaches_pointing_and_masks(model, kept):
    point, masks, *_ = POINTING
    batch = CachedBatches(kept, DRAWS, seed=0).draw(0)
    of_places = replace(batch, frames=replace(batch.frames, anchors=[]))

    places = criterion(predict(model, of_places, point.objective), of_places, point.objective)
    segmented = criterion(predict(model, batch, masks.objective), batch, masks.objective)

    assert {"ce", "point", "place", "shown"} == set(places.all)
    assert {"ce", "bce", "dice", "occ", "iou"} == set(segmented.all)
    places.total(point.objective).backward()
    assert model.pointing.query.weight.grad.abs().max() > 0
    assert model.vlm.llm.model.layers[0].self_attn.q_proj.weight.grad.abs().max() > 0
    model.zero_grad()
