"""Questions about scenes: what is right to answer is what `Scene.answer` says of their words."""

import functools
import re

import numpy as np
import pytest

from virst_model.synthetic.grammar import parse
from virst_model.synthetic.scenes import make_scene

NUMBERS = ("None.", "One.", "Two.", "Three.", "Four.", "Five.")
LOOKS = [
    (r"What colour is (.*)\?", lambda item: f"{item.colour.capitalize()}."),
    (r"What shape is (.*)\?", lambda item: f"A {item.shape}."),
    (r"Which way does (.*) move\?", lambda item: way_of(item)),
]


def way_of(item) -> str:
    way = item.motion(0.0)
    return f"To the {way}." if way in ("left", "right") else f"{way.capitalize()}."


@functools.cache
def all_questions() -> list:
    scenes = [make_scene(seed, "train", duration_s=6.0) for seed in range(200)]
    return [(s, q) for s in scenes for q in s.questions(np.random.default_rng(s.seed), 12)]


def questions(form: str):
    """(scene, question, the words in the form) of many scenes."""
    for scene, question in all_questions():
        if match := re.fullmatch(form, question.text):
            yield scene, question, match[1]


@pytest.mark.parametrize("form, answer", LOOKS)
def test_what_is_asked_of_one_object_is_true_of_the_one_that_the_words_mean(form, answer):
    asked = list(questions(form))

    assert len(asked) > 40
    for scene, question, words in asked:
        (number,) = scene.answer(words)
        assert question.ids == (number,)
        assert question.answer == answer(scene.objects[number - 1]), question


def test_the_answer_is_not_in_the_question():
    for (form, _), untold in zip(LOOKS, ("colour", "shape", "motion"), strict=True):
        assert all(getattr(parse(words), untold) is None for _, _, words in questions(form))


def test_a_way_is_asked_of_what_goes_one_way_alone():
    for scene, question, _ in questions(LOOKS[2][0]):
        item = scene.objects[question.ids[0] - 1]
        assert item.motions(6.0) == (item.motion(0.0),) and item.motion(0.0) != "still"


def test_objects_are_counted_and_none_is_a_number_too():
    asked = list(questions(r"How many (.*) are there\?"))

    assert {question.answer for _, question, _ in asked} >= set(NUMBERS[:4])
    for scene, question, words in asked:
        assert question.ids == scene.answer(f"all {words}")
        assert question.answer == NUMBERS[len(question.ids)], question


def test_what_is_not_there_is_asked_for_as_often_as_what_is():
    asked = list(questions(r"is (.*) in the video\?"))

    for scene, question, words in asked:
        assert question.ids == scene.answer(words)
        assert question.answer == ("Yes." if question.ids else "No."), question
    assert not any(parse(words).plural for _, _, words in asked)
    assert 0.42 < np.mean([question.answer == "Yes." for _, question, _ in asked]) < 0.58


def test_questions_are_drawn_by_lot_and_are_the_same_for_the_same_lot():
    scene = make_scene(3, "train", duration_s=6.0)
    one, same, other = (scene.questions(np.random.default_rng(n), 6) for n in (1, 1, 2))

    assert one == same != other
    assert len({question.text for question in one}) == len(one) == 6
