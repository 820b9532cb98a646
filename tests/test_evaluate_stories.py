"""Evaluation on stories: the events that are counted, and the tables of the paper."""

import json
import shutil

import numpy as np
import pytest
from streams import real_model, smallest

from virst_model.data.stories.sentence import Sentence
from virst_model.evaluate import tables
from virst_model.evaluate.__main__ import main
from virst_model.evaluate.film import Film
from virst_model.evaluate.stories import StoryRun, evaluate, returns, shifts, table

SMALL = {"videos": 2, "frames": 24, "height": 48, "width": 64}


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_every_kind_of_sentence_has_a_row(mode):
    run = StoryRun(**SMALL, mode=mode)

    found = evaluate(real_model(smallest()), run)

    assert {"attribute", "motion", "none", "shift", "overall"} <= set(found["rows"])
    assert all(0 <= row["J&F"] <= 100 for row in found["rows"].values())
    percent, number = found["events"]["empty frames where nothing is meant"]
    assert 0 <= percent <= 100 and number == found["rows"]["none"]["sentences"]
    assert ("swaps followed" in found["events"]) == (mode == "streaming")
    assert "| overall |" in table(found, run)


def test_a_mask_that_comes_back_within_five_frames_counts():
    area = np.array([9, 9, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9], float)
    at_once, late, never = np.zeros((3, 12))
    at_once[5:] = late[11:] = 1.0
    at_once[:2] = late[:2] = never[:2] = 1.0

    assert returns(area, at_once, 0) == [True]
    assert returns(area, late, 0) == [False]
    assert returns(area, never, 0) == [False]


def test_an_object_that_was_never_found_never_seen_or_hardly_hidden_does_not_count():
    area = np.array([9, 9, 0, 0, 0, 9, 9], float)
    assert returns(area, np.array([0, 0, 1, 1, 1, 1, 1.0]), 0) == []
    late = np.array([0, 0, 0, 0, 9, 9, 9], float)
    blink = np.array([9, 9, 0, 9, 9, 9, 9], float)
    assert returns(late, np.ones(7), 0) == [] == returns(blink, np.ones(7), 0)


class Halves(Film):
    """Object 1 is the left half of the picture, object 2 the right one."""

    def __init__(self, frames, fps):
        self.length, self.rate_hz = frames, fps
        self.times = [t / fps for t in range(frames)]
        ids = np.ones((4, 8), np.uint8)
        ids[:, 4:] = 2
        self.ids_THW = np.stack([ids] * frames)


def test_a_mask_that_moves_to_the_new_referent_within_two_seconds_counts():
    run = StoryRun(frames=60, fps=10.0)
    film = Halves(60, 10.0)
    sentence = Sentence("x", "shift", ((-np.inf, (1,)), (3.0, (2,))))
    follows, stays = film.ids_THW == 1, film.ids_THW == 1
    follows[45:] = film.ids_THW[45:] == 2

    assert shifts(sentence, film, follows, 0, run) == [True]
    assert shifts(sentence, film, stays, 0, run) == [False]


def test_a_change_that_is_over_before_it_could_be_followed_does_not_count():
    run = StoryRun(frames=60, fps=10.0)
    sentence = Sentence("x", "shift", ((-np.inf, (1,)), (3.0, (2,)), (3.5, (1,))))
    film = Halves(60, 10.0)
    # The change back lasts.
    assert shifts(sentence, film, film.ids_THW == 1, 0, run) == [True]


def test_stories_are_an_option_of_the_program(weights, tmp_path, capsys):
    sizes = ["--frames", "16", "--height", "48", "--width", "64"]
    places = ["--model", str(weights), "--out", str(tmp_path)]

    assert main(["--stories", "1", "--mode", "streaming", *sizes, *places]) == 0

    assert "1 stories of the split test, streaming" in capsys.readouterr().out
    assert json.loads((tmp_path / "results.json").read_text())["mode"] == "streaming"


@pytest.mark.parametrize(("number", "rows"), [("5", 5), ("6", 5)])
def test_tables_without_training_have_a_row_for_each_choice(weights, capsys, number, rows):
    assert tables.main([number, "--videos", "1", "--model", str(weights)]) == 0
    out = capsys.readouterr().out
    assert out.count("\n| ") == rows + 1  # and the head


def test_table_8_has_a_row_for_what_each_stage_of_a_training_left(weights, capsys, tmp_path):
    for stage in ("trunks/tracking", "alignment", "few_image", "propagation"):
        shutil.copytree(weights, tmp_path / stage / "weights")

    options = ["--videos", "1", "--model", str(weights)]
    assert tables.main(["8", "--trained", str(tmp_path), *options]) == 0

    rows = capsys.readouterr().out.split("\n| ")[2:]
    last = "alignment + few_image + propagation"
    assert [r.split(" |")[0] for r in rows] == ["none", "alignment", "alignment + few_image", last]


def test_table_8_names_the_stage_that_a_training_did_not_leave(weights, capsys, tmp_path):
    for stage in ("trunks/tracking", "alignment"):
        shutil.copytree(weights, tmp_path / stage / "weights")

    options = ["--videos", "1", "--model", str(weights)]
    assert tables.main(["8", "--trained", str(tmp_path), *options]) == 2

    out, err = capsys.readouterr()
    assert "| alignment |" in out and str(tmp_path / "few_image") in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "rows"), [("4", 4), ("8", 4)])
def test_tables_with_training_are_trained(capfd, tmp_path, number, rows):
    arguments = ["--videos", "1", "--steps", "1", "--out", str(tmp_path)]
    assert tables.main([number, *arguments]) == 0
    assert capfd.readouterr().out.count("\n| ") == rows + 1


def test_the_colour_scorer_prefers_the_frame_with_more_of_the_colour():
    red, grey = np.zeros((2, 48, 64, 3), np.uint8)
    red[:] = (212, 36, 40)
    grey[:] = 60
    assert tables.colour_score(red, "the red circle") > tables.colour_score(grey, "the red circle")
    assert tables.colour_score(red, "the circle") == 0
