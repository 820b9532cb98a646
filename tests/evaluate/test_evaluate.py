"""Evaluation on data sets: masks on disk, scores, tables, archives and the report."""

import itertools
import json
import re
import zipfile

import cv2
import numpy as np
from PIL import Image
import pytest
from streams import note_sessions, real_model, smallest

from virst_model.data.record import Expression, LeftOut, Record
from virst_model.errors import FileError
from virst_model.evaluate import predict as predicting
from virst_model.evaluate.attention import patch_attention
from virst_model.evaluate.page import ScoredExpression, write_page
from virst_model.evaluate.predict import Pass, predict, steps_left
from virst_model.evaluate.predictions import Outcome, Predictions, share, write_mask
from virst_model.evaluate.protocols import pack, protocol
from virst_model.evaluate.results import Report
from virst_model.evaluate.score import image_row, markdown, score, table_rows, video_row

SIZE = (24, 32)
FRAMES = 9


def square(t):
    """The truth: a square that moves to the right."""
    mask = np.zeros(SIZE, bool)
    mask[8:16, 2 * t : 2 * t + 8] = True
    return mask


def nothing(t):
    return np.zeros(SIZE, bool)


@pytest.fixture
def record(tmp_path):
    """A video of nine frames and three sentences, one of them without a target."""
    folder = tmp_path / "JPEGImages" / "video"
    folder.mkdir(parents=True)
    for t in range(FRAMES):
        image = np.full((*SIZE, 3), 40, np.uint8)
        image[square(t)] = (230, 30, 30)
        Image.fromarray(image).save(folder / f"{t:05d}.png")
    expressions = (
        Expression("0", "the red square", square, kind="referring"),
        Expression("1", "what moves?", square, kind="reasoning", decided=4),
        Expression("2", "the dog", nothing, kind="none"),
    )
    return Record("source/video", tuple(sorted(folder.iterdir())), expressions)


@pytest.fixture(scope="module")
def model():
    return real_model(smallest())


def answered(predictions, record, expression, masks, first=0):
    folder = predictions.begin(record, expression)
    for frame, mask in zip(record.frames, masks, strict=True):
        write_mask(folder, frame, mask)
    predictions.end(record, expression, Outcome(len(masks), first))


def perfect(record):
    return [square(t) for t in range(len(record.frames))]


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_every_frame_of_every_expression_gets_a_mask_named_as_the_frame(
    model, record, tmp_path, mode
):
    predictions = Predictions(tmp_path / "out")

    assert predict(model, record, predictions, Pass(mode)) == 3

    for expression in record.expressions:
        folder = tmp_path / "out" / "Annotations" / "source" / "video" / expression.id
        assert [p.name for p in sorted(folder.iterdir())] == [f.name for f in record.frames]
        mask = cv2.imread(str(folder / "00003.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == SIZE and set(np.unique(mask)) <= {0, 255}
        assert predictions.outcome(record, expression).frames == FRAMES


def test_finished_expressions_are_not_done_again_and_half_written_ones_are(
    model, record, tmp_path
):
    predictions = Predictions(tmp_path)
    predict(model, record, predictions, Pass())
    kept, broken = record.expressions[0], record.expressions[1]
    marker = tmp_path / "Annotations" / "source" / "video" / kept.id / "00000.png"
    before = marker.stat().st_mtime_ns
    (tmp_path / "answers" / "source" / "video" / f"{broken.id}.json").unlink()
    (tmp_path / "Annotations" / "source" / "video" / broken.id / "left_over.png").touch()

    assert predict(model, record, predictions, Pass()) == 1

    assert marker.stat().st_mtime_ns == before
    assert len(list((tmp_path / "Annotations/source/video" / broken.id).iterdir())) == FRAMES


def test_an_expression_that_lost_a_mask_is_done_again(model, record, tmp_path):
    predictions = Predictions(tmp_path)
    predict(model, record, predictions, Pass())
    lost = predictions.files(record, record.expressions[1])[4]
    lost.unlink()

    assert predict(model, record, predictions, Pass()) == 1

    assert lost.exists()


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_every_frame_that_is_answered_is_told(model, record, tmp_path, mode):
    predictions, told = Predictions(tmp_path), []
    wanted = steps_left(record, predictions, Pass(mode))

    predict(model, record, predictions, Pass(mode), lambda: told.append(1))

    assert len(told) == wanted == FRAMES
    assert steps_left(record, predictions, Pass(mode)) == 0


@pytest.mark.parametrize("mode", ["offline", "streaming"])
def test_a_frame_that_was_cut_off_is_named_and_nothing_is_done(model, record, tmp_path, mode):
    cut = record.frames[4]
    cut.write_bytes(cut.read_bytes()[:60])
    predictions = Predictions(tmp_path)

    with pytest.raises(FileError, match=re.escape(str(cut))):
        predict(model, record, predictions, Pass(mode))

    assert len(predictions.missing(record)) == 3


def test_a_stream_does_not_know_later_frames(model, record, tmp_path):
    cut = Record(record.id, record.frames[:6], record.expressions)
    whole, short = Predictions(tmp_path / "whole"), Predictions(tmp_path / "short")
    predict(model, record, whole, Pass("streaming"))
    predict(model, cut, short, Pass("streaming"))

    for expression in record.expressions:
        for t in range(6):
            assert np.array_equal(
                whole.mask(record, expression, t), short.mask(cut, expression, t)
            )


def test_one_annotators_masks_exclude_each_other(model, record, tmp_path):
    four = tuple(Expression(str(i), f"thing {i}", square) for i in range(4))
    record = Record(record.id, record.frames, four)
    predictions, free = Predictions(tmp_path / "two"), Predictions(tmp_path / "free")
    predict(model, record, predictions, Pass(annotators=2))
    predict(model, record, free, Pass())

    def overlap(found, one, other):
        return sum(
            int((found.mask(record, one, t) & found.mask(record, other, t)).sum())
            for t in range(FRAMES)
        )

    # Random weights find much the same for every sentence.
    assert overlap(free, four[0], four[2]) > 0
    assert overlap(predictions, four[0], four[2]) == 0
    assert overlap(predictions, four[1], four[3]) == 0
    assert overlap(predictions, four[0], four[1]) > 0  # another person's


def test_a_stream_says_when_it_first_answered(model, record, tmp_path):
    predictions = Predictions(tmp_path)
    predict(model, record, predictions, Pass("streaming", fps=4.0, delay=2))

    # The first clip is there with frame 3; the grounding takes two frames.
    assert predictions.outcome(record, record.expressions[0]).first == 5


def test_a_stream_says_how_often_it_was_grounded_and_a_whole_video_does_not(
    model, record, tmp_path
):
    rows = {}
    for mode, delay in (("streaming", 1), ("offline", 0)):
        predictions = Predictions(tmp_path / mode)
        predict(model, record, predictions, Pass(mode, fps=4.0, delay=delay))
        scores = [score(record, e, predictions) for e in record.expressions]
        rows[mode] = table_rows(scores, video_row)["overall"]

    # Two answers, at frames 4 and 8, in 9 quarters of a second.
    assert rows["streaming"]["groundings a minute"] == pytest.approx(2 * 60 * 4 / FRAMES)
    assert "groundings a minute" not in rows["offline"]


def test_a_pass_says_when_a_stream_is_grounded_again(model, record, tmp_path, monkeypatch):
    opened = note_sessions(monkeypatch, predicting)

    predict(
        model,
        record,
        Predictions(tmp_path),
        Pass("streaming", reground="on_change", reground_after_s=5.0),
    )

    assert {(o.reground, o.reground_after_s) for o in opened} == {("on_change", 5.0)}


def test_perfect_masks_score_one_and_empty_ones_nothing(record, tmp_path):
    predictions = Predictions(tmp_path)
    first, second, none = record.expressions
    answered(predictions, record, first, perfect(record))
    answered(predictions, record, second, [nothing(t) for t in range(FRAMES)])
    answered(predictions, record, none, [nothing(t) for t in range(FRAMES)])

    assert score(record, first, predictions).jf == 1
    assert score(record, second, predictions).jf == 0
    assert score(record, none, predictions).jf == 1  # nothing wanted, nothing found


def test_frames_before_the_answer_and_before_the_event_do_not_count(record, tmp_path):
    predictions = Predictions(tmp_path)
    plain, timed, _ = record.expressions
    late = [nothing(t) for t in range(3)] + perfect(record)[3:]
    answered(predictions, record, plain, late, first=3)
    answered(predictions, record, timed, late, first=3)
    wrong_until_the_event = [nothing(t) for t in range(4)] + perfect(record)[4:]
    answered(predictions, record, timed, wrong_until_the_event, first=2)

    assert score(record, plain, predictions).j == 1
    assert score(record, plain, predictions).j_all == pytest.approx(6 / 9)
    assert score(record, timed, predictions).j == 1


def test_silence_is_scored_from_the_first_frame_on(record, tmp_path):
    predictions = Predictions(tmp_path)
    expression = record.expressions[0]
    answered(predictions, record, expression, [nothing(t) for t in range(FRAMES)], first=None)

    assert score(record, expression, predictions).j == 0


def test_a_missing_prediction_scores_zero_and_is_marked(record, tmp_path):
    for expression in record.expressions:
        one = score(record, expression, Predictions(tmp_path))
        assert one.missing and one.jf == 0


def test_a_missing_truth_is_an_error_that_names_the_expression(record, tmp_path):
    untold = Expression("7", "the cat")
    with pytest.raises(FileError, match=r"source/video: expression 7 has no truth"):
        score(record, untold, Predictions(tmp_path))


def test_masks_of_another_size_are_an_error_with_both_sizes(record, tmp_path):
    predictions = Predictions(tmp_path)
    expression = record.expressions[0]
    answered(predictions, record, expression, [np.zeros((5, 5), bool)] * FRAMES)

    with pytest.raises(FileError, match=r"\(5, 5\), the truth \(24, 32\)"):
        score(record, expression, predictions)


def test_names_cannot_lead_out_of_the_folder(record, tmp_path):
    outside = Record("../../elsewhere", record.frames, record.expressions)
    with pytest.raises(FileError, match="leads out of the folder"):
        Predictions(tmp_path / "out").begin(outside, record.expressions[0])


def test_a_damaged_answer_is_an_error_that_names_the_file(record, tmp_path):
    predictions = Predictions(tmp_path)
    expression = record.expressions[0]
    answered(predictions, record, expression, perfect(record))
    path = tmp_path / "answers" / "source" / "video" / "0.json"
    path.write_text("{")
    with pytest.raises(FileError, match=r"0\.json: is no answer"):
        predictions.outcome(record, expression)


def three_scores(record, tmp_path):
    predictions = Predictions(tmp_path)
    first, second, none = record.expressions
    wrong = np.zeros(SIZE, bool)
    wrong[:8, :16] = True  # twice the square's area
    answered(predictions, record, first, perfect(record))
    answered(predictions, record, second, [nothing(t) for t in range(FRAMES)])
    answered(predictions, record, none, [wrong] * FRAMES)
    return predictions, [
        score(record, e, predictions, foreground=square) for e in record.expressions
    ]


def test_revos_overall_is_the_mean_of_referring_and_reasoning(record, tmp_path):
    _, scores = three_scores(record, tmp_path)
    rules = protocol("revos")

    rows = table_rows(scores, rules.row, rules.parts)

    assert rows["referring"]["J&F"] == 100 and rows["reasoning"]["J&F"] == 0
    assert rows["overall"]["J&F"] == 50
    assert rows["overall"]["expressions"] == 2
    assert rows["none"]["R"] == 0  # everything is wrong there
    assert rows["referring"]["A"] == 100
    assert "| overall |" in markdown(rows)


def test_other_data_sets_average_over_expressions(record, tmp_path):
    _, scores = three_scores(record, tmp_path)
    rows = table_rows(scores, video_row)
    assert rows["overall"]["J&F"] == pytest.approx(100 / 3)


def test_giou_is_the_mean_of_images_and_ciou_is_over_pixels(record, tmp_path):
    _, scores = three_scores(record, tmp_path)
    row = image_row(scores)

    assert row["gIoU"] == pytest.approx(100 / 3)
    assert row["cIoU"] == pytest.approx(25)  # of 1 + 1 + 2 squares one is right


def test_the_archive_has_the_layout_of_its_server(record, tmp_path):
    predictions, _ = three_scores(record, tmp_path)
    (predictions.masks / "source" / "video" / "0" / "left_over.png").touch()
    for name, start in (("mevis", ""), ("ref-youtube-vos", "Annotations/")):
        rules = protocol(name)
        pack(predictions, [record], tmp_path / rules.archive, rules.inside)
        with zipfile.ZipFile(tmp_path / rules.archive) as archive:
            assert f"{start}source/video/0/00000.png" in archive.namelist()
            assert not any("left_over" in name for name in archive.namelist())
            assert len(archive.namelist()) == 3 * FRAMES


def test_processes_share_the_records_without_overlap(record):
    records = [Record(str(i), record.frames, ()) for i in range(7)]
    shares = [[r.id for r in share(records, process, 3)] for process in range(3)]
    assert sorted(itertools.chain(*shares)) == [r.id for r in records]


def test_attention_sums_to_one_over_all_patches(model, record):
    looked = patch_attention(model, record, "the red square")

    assert set(looked) <= set(range(FRAMES))
    assert sum(float(one.sum()) for one in looked.values()) == pytest.approx(1, abs=1e-4)


def test_the_report_is_one_file_with_the_worst_case_first(model, record, tmp_path):
    predictions, scores = three_scores(record, tmp_path)
    cases = [
        ScoredExpression(one, record, expression)
        for one, expression in zip(scores, record.expressions, strict=True)
    ]
    path = tmp_path / "report.html"

    write_page(
        path,
        "a <title>",
        Report(table_rows(scores, video_row), [LeftOut("b2", "a <reason>", "why")]),
        cases,
        predictions,
        lambda record, expression: patch_attention(model, record, expression.text),
    )

    page = path.read_text()
    assert page.index("what moves?") < page.index("the red square")
    assert page.count("data:image/jpeg;base64,") == 3 and page.count("<polyline") == 3
    assert page.count(">J&amp;F, %</text>") == page.count(">frame number</text>") == 3
    assert page.count(f">{FRAMES - 1}</text>") == 3
    assert "a &lt;title&gt;" in page and "http" not in page
    assert "<li>1, a &lt;reason&gt;: b2 (why)</li>" in page


def test_the_report_shows_so_many_cases_and_lists_the_others(record, tmp_path):
    predictions, scores = three_scores(record, tmp_path)
    cases = [
        ScoredExpression(one, record, expression)
        for one, expression in zip(scores, record.expressions, strict=True)
    ]
    path = tmp_path / "report.html"

    report = Report(table_rows(scores, video_row))
    write_page(path, "t", report, cases, predictions, lambda *_: {}, 1)

    page = path.read_text()
    assert page.count("data:image/jpeg") == 1 and page.count("<li>") == 2
    assert json.dumps("the red square").strip('"') in page
