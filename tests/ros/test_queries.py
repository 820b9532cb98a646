"""What the node takes as a query, and the ids and labels that it gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from virst_model.queries.book import MAX_CHARACTERS, MAX_QUERIES, QueryBook

PACKAGED = Path(__file__).resolve().parents[2] / "virst_model/weights/tiny/config.json"


def make_book() -> tuple[QueryBook, list]:
    changes: list = []
    return QueryBook(changes.append), changes


def test_the_whole_tuple_is_handed_on_at_every_change():
    book, changes = make_book()
    book.submit("red", append=False)
    book.submit("blue", append=True)
    book.submit("", append=False)

    assert [[(q.id, q.text, q.label) for q in queries] for queries in changes] == [
        [(1, "red", 1)],
        [(1, "red", 1), (2, "blue", 2)],
        [],
    ]


def test_a_query_that_is_removed_leaves_its_label_for_later_and_no_id_comes_back():
    book, changes = make_book()
    for text in ("red", "blue"):
        book.submit(text, append=True)

    assert book.remove(1).success
    assert [(q.id, q.text, q.label) for q in changes[-1]] == [(2, "blue", 2)]
    book.submit("green", append=True)
    assert [(q.id, q.text, q.label) for q in changes[-1]] == [(2, "blue", 2), (3, "green", 3)]


def labels_of(book) -> list[int]:
    return [query.label for query in book.queries]


def test_a_label_that_was_given_up_is_given_again_last():
    book, _ = make_book()
    given = []
    for text in ("red", "blue") * MAX_QUERIES:
        book.submit(text, append=False)
        given += labels_of(book)

    assert given == [*range(1, MAX_QUERIES + 1)] * 2


def test_of_labels_that_are_free_the_one_that_was_given_up_first_comes_next():
    book, _ = make_book()
    for _ in range(MAX_QUERIES):
        book.submit("red", append=True)
    for query_id in (7, 3, 12):
        book.remove(query_id)
    for label in (7, 3, 12):
        book.submit("blue", append=True)
        assert {query.label: query.text for query in book.queries}[label] == "blue"
    book.clear()
    book.submit("red", append=False)
    assert labels_of(book) == [1]


def test_a_query_has_the_name_that_is_given_or_its_text():
    book, _ = make_book()
    book.submit("the red cup", append=True, name=" cup ")
    for _ in range(3):
        book.submit("the red cup", append=True)

    named = ["cup", "the red cup", "the red cup (2)", "the red cup (3)"]
    assert [query.name for query in book.queries] == named


def test_a_name_that_is_taken_is_refused_and_changes_nothing():
    book, changes = make_book()
    book.submit("the red cup", append=True, name="cup")
    verdict = book.submit("the blue cup", append=True, name="cup")

    assert (verdict.success, verdict.query_id) == (False, 0)
    assert verdict.message == "the name 'cup' is taken by query 1"
    assert len(changes) == 1
    assert book.submit("the blue cup", append=False, name="cup").success, "it goes with the other"


@pytest.mark.parametrize(
    "name, said", [("a\nb", "character 2 of the name is a"), ("x" * 1001, "the name has 1001")]
)
def test_a_name_is_a_line_of_text(name, said):
    book, changes = make_book()
    verdict = book.submit("red", append=False, name=name)

    assert not verdict.success and said in verdict.message and not changes


def test_a_query_rests_and_goes_on_with_its_id_its_label_and_its_name():
    book, changes = make_book()
    book.submit("red", append=True)
    book.submit("blue", append=True)
    before = book.queries

    assert book.enable(1, False).message == "disabled"
    assert [query.enabled for query in changes[-1]] == [False, True]
    assert book.enable(1, False).success and len(changes) == 3, "it rests already"
    assert book.enable(1, True).message == "enabled"
    assert book.queries == before
    assert book.enable(9, True).message == "there is no query 9; there are: 1, 2"


def test_what_is_not_there_cannot_be_removed_and_what_is_there_is_told():
    book, changes = make_book()
    assert book.remove(7).message == "there is no query 7; there are: none"
    book.submit("red", append=False)
    verdict = book.remove(7)

    assert not verdict.success and verdict.message == "there is no query 7; there are: 1"
    assert len(changes) == 1


def test_there_is_a_limit_of_queries():
    book, changes = make_book()
    verdicts = [book.submit("red", append=True) for _ in range(MAX_QUERIES + 1)]

    assert [v.query_id for v in verdicts] == [*range(1, MAX_QUERIES + 1), 0]
    assert not verdicts[-1].success and str(MAX_QUERIES) in verdicts[-1].message
    assert [q.label for q in changes[-1]] == list(range(1, MAX_QUERIES + 1))
    assert book.submit("red", append=False).query_id == MAX_QUERIES + 1


@pytest.mark.parametrize(
    "text, named",
    [
        ("x" * (MAX_CHARACTERS + 1), str(MAX_CHARACTERS + 1)),
        ("the\x00circle", "U+0000"),
        ("a\u2028b", "U+2028"),
        ("a\x7fb", "character 2"),
    ],
)
def test_what_is_refused_changes_nothing(text, named):
    book, changes = make_book()
    verdict = book.submit(text, append=False)

    assert (verdict.success, verdict.query_id, changes) == (False, 0, [])
    assert named in verdict.message


def test_nothing_can_be_appended_only_to_nothing():
    book, _ = make_book()

    assert not book.submit(" \t", append=True).success
    assert book.submit(" \t", append=False).success


@pytest.mark.parametrize(
    "text", ["x" * MAX_CHARACTERS, "<image>", "[SEG]", "<|im_end|>", "le café"]
)
def test_other_texts_are_kept_as_they_are(text):
    book, changes = make_book()

    assert book.submit(f"  {text} ", append=False).success
    assert changes[-1][0].text == text


def test_unknown_words_are_named_but_not_all_of_them():
    book, _ = make_book()
    book.known_words = frozenset({"the", "red"})

    assert book.submit("The RED!", append=False).message == "accepted"
    message = book.submit("the red " + " ".join(f"w{n}" for n in range(20)), False).message
    assert "w0" in message and "w7" in message and "w8" not in message
    assert "12 more" in message


def test_without_known_words_nothing_is_unknown():
    book, _ = make_book()

    assert book.submit("zebra", append=False).message == "accepted"


@pytest.mark.parametrize(
    ("word", "near"),
    [("crimson", "red"), ("ball", "circle"), ("turquoise", "blue"), ("squre", "square")],
)
def test_an_unknown_word_is_named_with_the_nearest_known_one(word, near):
    book, _ = make_book()
    book.known_words = frozenset({"the", "red", "blue", "circle", "square"})

    verdict = book.submit(f"the {word}", append=False)

    assert verdict.success and f"{word} (try: {near})" in verdict.message


@pytest.mark.parametrize(
    "word", ["zebra", "cup", "dog", "hand", "man", "car", "shoe", "phone", "tree", "cone", "key"]
)
def test_a_word_that_is_like_no_name_of_a_thing_is_named_alone(word):
    book, _ = make_book()
    book.known_words = frozenset(json.loads(PACKAGED.read_text())["known_words"])

    assert book.submit(f"the {word}", append=False).message.endswith(f"on: {word}")
