"""virst evaluate on data sets in their own layouts."""

import json
import zipfile

from clip_miniature import save_clip
from image_miniatures import box, make_reason_seg, make_refer
from miniatures import SIZE, code, make_mevis, make_ref_davis17, make_ref_youtube_vos, make_revos
import numpy as np
import pytest
from streams import packaged_with

from virst_model.data.catalogue import open_dataset
from virst_model.evaluate import predict as evaluate_predict
from virst_model.evaluate import run as evaluate_run
from virst_model.evaluate.__main__ import main
from virst_model.evaluate.predictions import Outcome, Predictions, ResultsError, write_mask
from virst_model.evaluate.rates import record_tasks
from virst_model.frames import StillImage


@pytest.fixture
def evaluate(tmp_path, weights):
    """evaluate("mevis", "--split", ...) -> exit status; results lie in tmp_path / "out"."""

    def run(dataset, *arguments):
        places = ["--root", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(weights)]
        return main(["--dataset", dataset, *places, *arguments])

    return run


def results(tmp_path):
    return json.loads((tmp_path / "out" / "results.json").read_text())


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_mevis_is_scored_packed_and_shown(evaluate, tmp_path, capsys, mode):
    make_mevis(tmp_path)

    assert evaluate("mevis", "--split", "valid_u", "--mode", mode) == 0

    found = results(tmp_path)
    assert found["table"]["overall"]["expressions"] == 4
    assert ("groundings a minute" in found["table"]["overall"]) == (mode == "streaming")
    assert {one["text"] for one in found["expressions"]} >= {"it disappears", "lizard turning"}
    said = capsys.readouterr().out
    assert "| overall |" in said and said.endswith(f"\n{tmp_path / 'out' / 'report.html'}\n")
    assert "it disappears" in (tmp_path / "out" / "report.html").read_text()
    with zipfile.ZipFile(tmp_path / "out" / "mevis.zip") as archive:
        assert "d56a6ec78cfa/0/00007.png" in archive.namelist()


def test_a_split_without_truth_gives_masks_and_no_score(evaluate, tmp_path, capsys):
    make_mevis(tmp_path)

    assert evaluate("mevis", "--split", "valid") == 0

    said = capsys.readouterr().out
    assert "no truth in this split" in said and said.endswith(f"\n{tmp_path / 'out'}\n")
    assert (tmp_path / "out" / "mevis.zip").exists()
    assert results(tmp_path)["table"] == {} and results(tmp_path)["left_out"] == []


def test_ref_youtube_vos_is_packed_below_annotations(evaluate, tmp_path):
    make_ref_youtube_vos(tmp_path)

    assert evaluate("ref-youtube-vos", "--split", "valid") == 0

    with zipfile.ZipFile(tmp_path / "out" / "ref-youtube-vos.zip") as archive:
        assert all(name.startswith("Annotations/") for name in archive.namelist())


def test_revos_has_kinds_and_their_mean(evaluate, tmp_path):
    make_revos(tmp_path)

    assert evaluate("revos", "--split", "train") == 0

    rows = results(tmp_path)["table"]
    assert list(rows) == ["none", "reasoning", "referring", "overall"]
    mean = (rows["referring"]["J&F"] + rows["reasoning"]["J&F"]) / 2
    assert rows["overall"]["J&F"] == pytest.approx(mean)


def test_revos_valid_has_accuracy_and_robustness(evaluate, tmp_path):
    make_revos(tmp_path)

    assert evaluate("revos") == 0

    row = results(tmp_path)["table"]["overall"]
    assert 0 <= row["R"] <= 100 and 0 < row["A"] <= 100


def test_ref_davis17_says_which_of_its_protocols_it_is(evaluate, tmp_path):
    make_ref_davis17(tmp_path)

    assert evaluate("ref-davis17") == 0
    assert "as the released code" in results(tmp_path)["note"]

    assert evaluate("ref-davis17", "--annotators", "4", "--out", str(tmp_path / "four")) == 0
    found = json.loads((tmp_path / "four" / "results.json").read_text())
    assert "4 annotators" in found["note"]
    assert found["table"]["overall"]["expressions"] == 16


def test_images_have_giou_and_ciou(evaluate, tmp_path):
    make_refer(tmp_path)
    make_reason_seg(tmp_path)

    assert evaluate("refcoco", "--split", "train") == 0
    assert set(results(tmp_path)["table"]["overall"]) == {"expressions", "gIoU", "cIoU"}

    out = ("--out", str(tmp_path / "reason"))
    assert evaluate("reason-seg", "--split", "train", *out) == 0


@pytest.fixture
def covered(tmp_path):
    """The first picture of ReasonSeg's is answered with its target and the ignored hole in it."""
    make_reason_seg(tmp_path)
    for suffix in ("jpg", "json"):
        (tmp_path / f"reason_seg/ReasonSeg/train/2.{suffix}").unlink()
    (record,) = open_dataset("reason-seg", tmp_path, "train").records
    predictions = Predictions(tmp_path / "out")
    for expression in record.expressions:
        folder = predictions.begin(record, expression)
        write_mask(folder, record.frames[0], box("a"))
        predictions.end(record, expression, Outcome(1, 0))
    return record


def test_lisas_protocol_asks_the_first_text_and_leaves_ignored_pixels_out(
    covered, evaluate, tmp_path
):
    assert evaluate("reason-seg", "--split", "train", "--protocol", "lisa") == 0

    found = results(tmp_path)
    (one,) = found["expressions"]
    assert one["text"] == covered.expressions[0].text
    assert found["table"]["overall"] == {"expressions": 1, "gIoU": 100.0, "cIoU": 100.0}
    assert (one["j_all"], one["f_all"]) == (1.0, 1.0)
    assert "do not count" in found["note"]


@pytest.mark.parametrize("arguments", [(), ("--protocol", "released")])
def test_the_releases_protocol_asks_every_text_and_takes_ignored_pixels_for_background(
    covered, evaluate, tmp_path, arguments
):
    assert evaluate("reason-seg", "--split", "train", *arguments) == 0

    found = results(tmp_path)
    right = 100 * (1 - 16 / box("a").sum())  # the hole has 16 pixels
    row = found["table"]["overall"]
    assert row["expressions"] == len(covered.expressions) == 2
    assert row["gIoU"] == pytest.approx(right) and row["cIoU"] == pytest.approx(right)
    assert all(one["f_all"] < 1 for one in found["expressions"])
    assert "background" in found["note"]


@pytest.mark.parametrize(
    ("dataset", "name", "said"),
    [
        ("reason-seg", "lissa", "reason-seg has no protocol 'lissa'; known: released, lisa"),
        ("mevis", "lisa", "mevis has no protocol 'lisa'; known: its own alone"),
    ],
)
def test_a_protocol_that_a_data_set_has_not_is_named(evaluate, dataset, name, said, capsys):
    assert evaluate(dataset, "--protocol", name) == 2
    assert capsys.readouterr().err == f"error: --protocol: {said}\n"


def test_a_still_image_has_no_stream(evaluate, tmp_path, capsys):
    make_reason_seg(tmp_path)

    assert evaluate("reason-seg", "--split", "train", "--mode", "streaming") == 2

    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and "is a still image, which no stream answers for" in said


def test_rates_of_still_images_are_those_of_images(tmp_path):
    make_reason_seg(tmp_path)
    records = open_dataset("reason-seg", tmp_path, "train").records

    tasks = list(record_tasks(records))

    assert tasks and all(isinstance(frames, StillImage) for frames, _ in tasks)


def test_a_second_run_does_nothing_twice(evaluate, tmp_path):
    make_mevis(tmp_path)
    evaluate("mevis", "--split", "valid_u")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "Annotations").rglob("*.png")}

    assert evaluate("mevis", "--split", "valid_u") == 0

    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "Annotations").rglob("*.png")}
    assert before == after


def test_a_damaged_note_of_another_run_is_one_line(evaluate, tmp_path, capsys):
    make_mevis(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{")

    assert evaluate("mevis", "--split", "valid_u") == 2

    said = capsys.readouterr().err
    assert "run.json: is damaged" in said and said.count("\n") == 1


def test_results_of_another_run_are_not_mixed_in(evaluate, tmp_path, capsys):
    make_mevis(tmp_path)
    evaluate("mevis", "--split", "valid_u")

    assert evaluate("mevis", "--split", "valid_u", "--mode", "streaming") == 2

    assert "holds results of another run" in capsys.readouterr().err


PARROTS, LIZARD = "d56a6ec78cfa", "377b1c5f365c"


def shrink_masks(root, *anno_ids):
    """MeViS' valid_u with masks of half the frames' size."""
    path = root / "mevis/valid_u/mask_dict.json"
    codes = json.loads(path.read_text())
    small = code(np.ones((SIZE[0] // 2, SIZE[1] // 2), bool))
    for anno_id in anno_ids:
        codes[anno_id] = [small] * len(codes[anno_id])
    path.write_text(json.dumps(codes))


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_masks_of_another_size_are_left_out_by_name_and_the_others_are_scored(
    evaluate, tmp_path, capsys, mode
):
    make_mevis(tmp_path)
    shrink_masks(tmp_path, "2")

    assert evaluate("mevis", "--split", "valid_u", "--mode", mode) == 1

    found = results(tmp_path)
    assert found["table"]["overall"]["expressions"] == 3
    (one,) = found["left_out"]
    assert one["name"] == f"{LIZARD}/0" and "another size" in one["reason"]
    assert one["detail"] == "masks 32x24, frames 64x48"
    beside = f"another size than its frames: {LIZARD}/0 (masks 32x24, frames 64x48)"
    assert beside in capsys.readouterr().out
    assert beside in (tmp_path / "out" / "table.md").read_text()
    assert beside in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_a_video_that_cannot_be_read_is_left_out_by_name_and_the_others_are_scored(
    evaluate, tmp_path, capsys, mode
):
    make_mevis(tmp_path)
    frame = tmp_path / f"mevis/valid_u/JPEGImages/{LIZARD}/00002.jpg"
    frame.write_bytes(frame.read_bytes()[:300])

    assert evaluate("mevis", "--split", "valid_u", "--mode", mode) == 1

    found = results(tmp_path)
    assert found["table"]["overall"]["expressions"] == 3
    (one,) = found["left_out"]
    assert one["name"] == f"{LIZARD}/0" and str(frame) in one["detail"]
    assert f"{LIZARD}/0 ({frame}" in capsys.readouterr().out


def test_a_zip_for_a_server_is_whole_or_is_not_there(evaluate, tmp_path, capsys):
    make_mevis(tmp_path)
    assert evaluate("mevis", "--split", "valid") == 0
    frame = tmp_path / f"mevis/valid/JPEGImages/{LIZARD}/00003.jpg"
    kept = frame.read_bytes()
    frame.unlink()
    capsys.readouterr()

    assert evaluate("mevis", "--split", "valid") == 1

    assert not (tmp_path / "out" / "mevis.zip").exists()
    said = capsys.readouterr().out
    assert f"video without all its frames: {LIZARD} (without 00003.jpg)" in said
    assert "no mevis.zip" in said
    frame.write_bytes(kept)
    assert evaluate("mevis", "--split", "valid") == 0
    with zipfile.ZipFile(tmp_path / "out" / "mevis.zip") as archive:
        assert len(archive.namelist()) == 3 * 8 + 5


def test_a_run_that_is_stopped_has_its_scores_and_goes_on(evaluate, tmp_path, monkeypatch, capsys):
    make_mevis(tmp_path)
    other = ("--out", str(tmp_path / "undisturbed"))
    evaluate("mevis", "--split", "valid_u", *other)
    done = evaluate_run.predict

    def stopped(model, record, *rest):
        if record.id == LIZARD:
            raise KeyboardInterrupt
        return done(model, record, *rest)

    monkeypatch.setattr(evaluate_run, "predict", stopped)
    assert evaluate("mevis", "--split", "valid_u") == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    lines = (tmp_path / "out" / "scores-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["score"]["record"] for line in lines] == [PARROTS] * 3

    monkeypatch.setattr(evaluate_run, "predict", done)
    assert evaluate("mevis", "--split", "valid_u") == 0

    assert not list((tmp_path / "out").glob("scores-*"))
    wanted = json.loads((tmp_path / "undisturbed" / "results.json").read_text())
    assert results(tmp_path) == wanted


def test_a_full_disk_ends_the_run_and_leaves_nothing_out(evaluate, tmp_path, monkeypatch, capsys):
    make_mevis(tmp_path)

    def full(folder, frame, mask):
        raise ResultsError(folder, "cannot be written (No space left on device)")

    monkeypatch.setattr(evaluate_predict, "write_mask", full)
    assert evaluate("mevis", "--split", "valid_u") == 2

    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "valid"], "no mevis here"),
        (["--split", "test"], "no split 'test'"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(evaluate, arguments, said, capsys):
    assert evaluate("mevis", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_model_that_no_stream_can_follow_is_refused_in_words(evaluate, tmp_path, capsys):
    make_mevis(tmp_path)
    model = packaged_with(tmp_path, anchors="guided")
    streaming = ("--split", "valid_u", "--mode", "streaming", "--model", str(model))
    assert evaluate("mevis", *streaming) == 2
    assert "error: a stream has no 'guided' anchors" in capsys.readouterr().err


def test_a_data_set_needs_to_be_found(capsys):
    assert main(["--dataset", "mevis"]) == 2
    assert "--root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--clip-tokens", "own", "--trial", "light"], "--trial: says nothing of --clip-tokens"),
        (["--clip-tokens", "own", "--frames", "9"], "--frames: says nothing of --clip-tokens"),
        (["--questions", "3", "--videos", "9"], "--videos: says nothing of --questions"),
        (["--clip-tokens", "reversed", "--window", "4"], "--window is 4, reversed needs 8"),
        (["--clip-tokens", "reversed", "--stories", "2"], "reversed is of scenes; leave"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_the_gate_is_a_table_by_kind_and_says_what_goes_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("virst_model.evaluate.sight.MIRRORED_SENTENCES", 2)
    tokens = ["--clip-tokens", "own,other,zero,reversed", "--window", "8"]
    sizes = ["--videos", "2", "--height", "120", "--width", "160", "--threads", "1"]

    assert main([*tokens, *sizes, "--out", str(tmp_path / "out")]) == 0

    found = results(tmp_path)
    assert (found["first"], found["worlds"], found["window"]) == (5000, "scenes", 8)
    assert {"colour", "motion", "overall"} <= found["rows"].keys()
    overall = found["rows"]["overall"]
    largest = max(overall[name]["published"] for name in ("other", "zero"))
    margin = overall["own"]["published"] - largest
    assert overall["margin"]["published"] == pytest.approx(margin)
    assert margin > 5, "the packaged model reads its clips"
    assert found["reversed"]["number"] >= 2
    printed = capsys.readouterr().out
    assert f"{found['reversed']['share']:.1f} % on the other" in printed


def test_the_gate_is_of_stories_and_of_other_seeds_too(tmp_path):
    tokens = ["--clip-tokens", "own,zero", "--stories", "2", "--first", "6000", "--window", "8"]
    sizes = ["--height", "120", "--width", "160", "--threads", "1"]

    assert main([*tokens, *sizes, "--out", str(tmp_path / "out")]) == 0

    found = results(tmp_path)
    assert (found["first"], found["worlds"]) == (6000, "stories")
    assert found["rows"]["overall"]["number"] > 5
    assert found["rows"]["overall"].keys() == {"number", "own", "zero", "margin"}


def test_guided_anchors_are_chosen_by_clip(evaluate, tmp_path):
    make_mevis(tmp_path)
    guided = ("--anchors", "guided", "--clip", str(save_clip(tmp_path / "clip")))

    assert evaluate("mevis", "--threads", "1", *guided) == 0

    assert results(tmp_path)["table"]["overall"]["expressions"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs --clip DIR"),
        (("--clip", "/nowhere"), "/nowhere: no such folder"),
        (("--mode", "streaming"), "a stream has no 'guided' anchors"),
    ],
)
def test_guided_anchors_without_a_guide_are_refused_in_one_line(
    evaluate, tmp_path, capsys, arguments, said
):
    make_mevis(tmp_path)

    assert evaluate("mevis", "--anchors", "guided", *arguments) == 2

    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_folder_of_one_alpha_takes_no_masks_of_another(evaluate, tmp_path, capsys):
    make_mevis(tmp_path)

    assert evaluate("mevis", "--threads", "1", "--alpha", "2") == 0
    assert evaluate("mevis", "--threads", "1", "--alpha", "2") == 0
    assert evaluate("mevis") == 2
    assert "holds results of another run" in capsys.readouterr().err
