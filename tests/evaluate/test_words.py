"""Answers in words, counted. What the packaged model can say, it says rightly, or it says so."""

from dataclasses import replace
import json

import pytest
from streams import real_model, smallest
import torch

from virst_model import load
from virst_model.checkpoints.load import TINY, save, stored_config
from virst_model.errors import InputError
from virst_model.evaluate.__main__ import main
from virst_model.evaluate.words import (
    OVERALL,
    YES_OR_NO,
    Answered,
    WordsRun,
    ask_all,
    summarise,
)
from virst_model.queries.nearby_words import unknown_words
from virst_model.stream.speech import OF_QUESTIONS
from virst_model.synthetic.world import MAKERS


def saying(model, monkeypatch, text):
    """The model answers every question so."""
    ids = [*model.tokenizer.encode(text).ids, model.tokenizer.token_to_id("<|im_end|>")]
    speak = lambda embeds_1LD: (torch.tensor([token]) for token in ids)  # noqa: E731
    monkeypatch.setattr(model.vlm, "speak", speak)
    return model


def test_a_model_that_always_says_yes_is_right_where_that_is_the_truth(monkeypatch):
    model = saying(real_model(replace(smallest(), answers=True)), monkeypatch, "yes")

    answered = list(ask_all(model, WordsRun(videos=3, height=48, width=64)))
    found = summarise(answered)

    truths = [one.truth for one in answered]
    assert {one.said for one in answered} == {"yes"} and len(set(truths)) > 2
    assert found[OVERALL]["questions"] == len(truths) == 24
    assert found[OVERALL]["right"] == pytest.approx(100 * truths.count("Yes.") / 24)
    for worlds in ("scenes", "stories"):
        of_kind = [one for one in answered if one.kind == f"{worlds}: {YES_OR_NO}"]
        assert found[f"{worlds}: {YES_OR_NO}"]["questions"] == len(of_kind)
        assert {one.truth for one in of_kind} <= {"Yes.", "No."}
        assert found[f"{worlds}: {OVERALL}"]["questions"] == 12
    assert all(row["guess"] >= row["right"] for row in found.values())


@pytest.mark.parametrize(
    "text, kind",
    [
        ("How many red circles are there?", "number"),
        ("What colour is the star?", "colour"),
        ("What shape is the red thing?", "shape"),
        ("Which way does the star move?", "way"),
        ("Is there a red star?", "yes or no"),
    ],
)
def test_a_question_is_of_the_kind_that_it_begins_with(text, kind):
    assert Answered("scenes", text, "", "").kind == f"scenes: {kind}"


@pytest.mark.parametrize(
    "said, right", [("two", True), ("Two.", True), ("Two. Two.", False), ("", False)]
)
def test_case_and_the_last_stop_do_not_count_and_all_else_does(said, right):
    assert Answered("scenes", "How many stars are there?", "Two.", said).is_right == right


def test_the_program_writes_figures_and_every_answer(tmp_path, capsys, monkeypatch):
    save(real_model(replace(smallest(), answers=True)), tmp_path / "weights")
    size = ["--height", "48", "--width", "64"]
    places = ["--model", str(tmp_path / "weights"), "--out", str(tmp_path / "out")]

    assert main(["--questions", "1", *size, *places]) == 0

    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(found["answers"]) == found["rows"][OVERALL]["questions"] == 8
    assert {"worlds", "text", "truth", "said", "right"} == found["answers"][0].keys()
    assert "| overall |" in capsys.readouterr().out


def test_who_says_what_is_right_most_often_guesses_kind_by_kind():
    asked = [("What colour is it?", t) for t in ("Red.", "Red.", "Blue.")]
    asked += [("Is it red?", t) for t in ("Yes.", "No.", "No.", "No.")]
    found = summarise([Answered("scenes", text, truth, "no") for text, truth in asked])

    assert found["scenes: colour"]["guess"] == pytest.approx(200 / 3)
    assert found[f"scenes: {YES_OR_NO}"] == {"right": 75.0, "guess": 75.0, "questions": 4}
    assert found[OVERALL] == found[f"scenes: {OVERALL}"]
    assert found[OVERALL]["guess"] == pytest.approx(500 / 7)


@pytest.mark.parametrize("worlds", ["scenes", "stories"])
def test_the_packaged_model_knows_all_words_of_its_questions(worlds):
    known = {*stored_config(TINY).known_words, *OF_QUESTIONS}
    asked = [q.text for seed in range(40) for q in MAKERS[worlds](seed, "test").questions()]

    assert len(asked) > 100 and {unknown_words(text, known) for text in asked} == {""}


@pytest.mark.slow
@pytest.mark.parametrize("worlds", ["scenes", "stories"])
def test_the_packaged_model_answers_what_is_held_out_rightly_or_says_that_it_cannot(worlds):
    model = load(None, "cpu")
    run = WordsRun(videos=25 if model.config.answers else 1, worlds=(worlds,))
    if not model.config.answers:
        with pytest.raises(InputError, match="has not learned to answer in words"):
            list(ask_all(model, run))
        return
    overall = summarise(list(ask_all(model, run)))[OVERALL]
    assert overall["right"] > overall["guess"] + 10
