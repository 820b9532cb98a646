"""Questions about scenes: what is right to answer is what `Scene.answer` says of their words."""

import re

import numpy as np
import pytest

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


def questions(form: str):
    """(scene, question, the words in the form) of many scenes."""
    for seed in range(60):
        scene = make_scene(seed, "train", duration_s=6.0)
        for question in scene.questions(np.random.default_rng(seed), 12):
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
    for form, _ in LOOKS[:2]:
        for _, question, words in questions(form):
            assert question.answer.lower().rstrip(".").removeprefix("a ") not in words.split()


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
    assert 0.35 < np.mean([question.answer == "Yes." for _, question, _ in asked]) < 0.65


def test_questions_are_drawn_by_lot_and_are_the_same_for_the_same_lot():
    scene = make_scene(3, "train", duration_s=6.0)
    one, same, other = (scene.questions(np.random.default_rng(n), 6) for n in (1, 1, 2))

    assert one == same != other
    assert len({question.text for question in one}) == len(one) == 6
