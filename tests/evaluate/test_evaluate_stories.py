"""Evaluation on stories: the events that are counted."""

import json

from bars import watch_bars
import numpy as np
import pytest
from streams import SIZE, ColourModel, frame, note_sessions, real_model, smallest

from virst_model.evaluate import film as filming
from virst_model.evaluate.__main__ import main
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.synthetic import SyntheticRun, evaluate, returns, shifts, synthetic_table
from virst_model.synthetic.sentence import Sentence

SMALL = {"videos": 2, "frames": 24, "height": 48, "width": 64}


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_every_kind_of_sentence_has_a_row(mode, monkeypatch):
    bars = watch_bars(monkeypatch, "virst_model.evaluate.synthetic")
    run = SyntheticRun(**SMALL, mode=mode)

    found = evaluate(real_model(smallest()), run)

    assert {"attribute", "motion", "none", "shift", "overall"} <= set(found["rows"])
    for row in found["rows"].values():
        assert 0 <= row["J&F"] <= 100 and row["J&F"] == pytest.approx((row["J"] + row["F"]) / 2)
        # Of four and of eight frames, in 2.4 s.
        assert row.get("groundings a minute") == (
            pytest.approx(2 * 60 / 2.4) if mode == "streaming" else None
        )
    percent, number = found["events"]["empty frames where nothing is meant"]
    assert 0 <= percent <= 100 and number == found["rows"]["none"]["sentences"]
    assert ("swaps followed" in found["events"]) == (mode == "streaming")
    assert "| overall |" in synthetic_table(found, run)
    (bar,) = bars  # of frames, one by one, and not of whole videos
    assert bar.unit == "frame" and bar.moves == [1] * run.videos * run.frames


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
    run = SyntheticRun(frames=60, fps=10.0)
    film = Halves(60, 10.0)
    sentence = Sentence("x", "shift", ((-np.inf, (1,)), (3.0, (2,))))
    follows, stays = film.ids_THW == 1, film.ids_THW == 1
    follows[45:] = film.ids_THW[45:] == 2

    assert shifts(sentence, film, follows, 0, run) == [True]
    assert shifts(sentence, film, stays, 0, run) == [False]


def test_a_change_that_is_over_before_it_could_be_followed_does_not_count():
    run = SyntheticRun(frames=60, fps=10.0)
    sentence = Sentence("x", "shift", ((-np.inf, (1,)), (3.0, (2,)), (3.5, (1,))))
    film = Halves(60, 10.0)
    # The change back lasts.
    assert shifts(sentence, film, film.ids_THW == 1, 0, run) == [True]


def test_stories_are_an_option_of_the_program(weights, tmp_path, capsys):
    sizes = ["--frames", "16", "--height", "48", "--width", "64"]
    places = ["--model", str(weights), "--out", str(tmp_path)]

    assert main(["--stories", "1", "--mode", "streaming", *sizes, *places]) == 0

    said = capsys.readouterr().out
    assert "1 stories of the split test, streaming" in said
    assert said.endswith(f"\n{tmp_path / 'results.json'}\n")
    assert json.loads((tmp_path / "results.json").read_text())["mode"] == "streaming"


def test_a_still_picture_is_grounded_more_rarely_on_change():
    film = Film(lambda t, *size: (frame(red=1), np.ones(size, np.uint8)), 200, 10.0, SIZE)

    clock = follow(ColourModel(), film, ["red", "blue"], delay=0)
    change = follow(ColourModel(), film, ["red", "blue"], delay=0, reground="on_change")

    # 20 s: while the window grows, then every two seconds, or of what is followed after eight.
    assert clock.groundings == [11, 11] and change.groundings == [6, 11]
    assert (change.masks == clock.masks).all() and change.first == clock.first


def test_when_a_stream_is_grounded_again_is_an_option_of_the_program(
    weights, tmp_path, monkeypatch, capsys
):
    opened = note_sessions(monkeypatch, filming)
    said = ["--reground", "on_change", "--reground-after", "5"]
    sizes = ["--videos", "1", "--frames", "6", "--height", "48", "--width", "64"]

    assert main([*sizes, *said, "--model", str(weights), "--out", str(tmp_path)]) == 0

    # Of all sentences, and of a query that is swapped.
    assert len(opened) == 2
    assert {(o.reground, o.reground_after_s) for o in opened} == {("on_change", 5.0)}
    assert json.loads((tmp_path / "results.json").read_text())["reground"] == "on_change"


def test_scenes_are_what_the_program_runs_by_itself(weights, tmp_path, capsys):
    places = ["--model", str(weights), "--out", str(tmp_path)]

    assert main(["--videos", "1", "--frames", "6", *places]) == 0

    said = capsys.readouterr().out
    assert said.startswith("1 scenes of the split test, streaming\n")
    assert "| colour |" in said and "swaps followed" in said
    assert said.endswith(f"\n{tmp_path / 'results.json'}\n")
    assert json.loads((tmp_path / "results.json").read_text())["videos"] == 1
