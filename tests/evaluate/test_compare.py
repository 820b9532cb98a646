"""virst compare: models side by side, on the same worlds."""

import json
import math

import numpy as np
import pytest

from virst_model.checkpoints.load import TINY
from virst_model.evaluate import compare as module
from virst_model.evaluate.compare import compare, difference_of, main, measures, table


def test_the_error_is_of_the_differences_and_not_of_the_two_columns():
    old = [0.0, 50.0, 100.0, 20.0]
    difference, error = difference_of(old, [value + 3 for value in old])

    assert difference == pytest.approx(3)
    assert error == pytest.approx(0)


def test_events_of_two_models_need_not_be_the_same_ones():
    difference, error = difference_of([0.0, 100.0], [100.0, 100.0, 100.0])

    assert difference == pytest.approx(50)
    assert error == pytest.approx(np.std([0, 100], ddof=1) / math.sqrt(2))


def test_the_table_names_what_falls_and_nothing_that_is_within_its_error():
    old = {"a": [90.0, 90.0, 90.0], "b": [90.0, 90.0, 90.0], "c": [90.0, 90.0, 90.0]}
    new = {"a": [80.0, 81.0, 80.0], "b": [100.0, 50.0, 100.0], "c": [89.0, 89.0, 89.0]}

    text = table({"scenes": [old, new]}, ["old", "new"])

    assert "falls: scenes: a." in text
    assert "| scenes: a | 3 | 90.0 | 80.3 | -9.7 | 0.3 |" in text


def test_a_model_that_reads_is_allowed_to_be_worse_where_there_is_nothing_to_read():
    rows = ("motion, raw, own", "motion, raw, other", "motion, raw, zero", "motion, raw, margin")
    old, new = ({row: [value, value] for row in rows} for value in (50.0, 20.0))

    text = table({"clip tokens": [old, new]}, ["old", "new"])

    last = text.splitlines()[-1]
    assert last.endswith("clip tokens: motion, raw, own; clip tokens: motion, raw, margin.")


def test_a_mask_that_no_longer_goes_to_the_other_object_falls():
    old, new = ({"mask on the other": [value] * 9 + [0.0]} for value in (100.0, 50.0))

    text = table({"clip tokens, reversed": [old, new]}, ["old", "new"])

    assert "falls: clip tokens, reversed: mask on the other." in text


def test_what_was_measured_is_not_measured_again(tmp_path):
    asked = []

    def measure(model):
        asked.append(model)
        return {"all": [1.0, 2.0]}

    first = compare([TINY], {"scenes": measure}, tmp_path)
    again = compare([TINY, TINY], {"scenes": measure}, tmp_path)

    assert len(asked) == 1
    assert first == {"scenes": [{"all": [1.0, 2.0]}]}
    assert again == {"scenes": [{"all": [1.0, 2.0]}] * 2}


def test_other_weights_are_measured_anew(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((TINY / name).read_bytes())
    for name in ("vocab.json", "merges.txt", "tokenizer.json"):
        if (TINY / name).exists():
            (folder / name).write_bytes((TINY / name).read_bytes())
    values = iter(([1.0], [2.0]))
    chosen = {"scenes": lambda model: {"all": next(values)}}
    compare([folder], chosen, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config, indent=3))

    assert compare([folder], chosen, tmp_path / "out") == {"scenes": [{"all": [2.0]}]}


def test_all_that_a_card_tells_of_is_measured():
    names = set(measures())

    assert {"scenes from 0", "scenes from 1000", "stories from 0"} <= names
    assert {"clip tokens, scenes from 5000", "clip tokens, reversed"} <= names
    assert {"clip tokens, windows of 4", "clip tokens, windows of 32"} <= names
    assert {"trial light", "trial small"} <= names
    assert not {"trial cutouts", "trial photographs"} & names, "there are no photographs"


def test_the_packaged_model_is_compared_with_itself(tmp_path, capsys):
    arguments = [str(TINY), str(TINY), "--only", "scenes", "--share", "0.02", "--threads", "1"]

    assert main([*arguments, "--out", str(tmp_path)]) == 0

    text = capsys.readouterr().out
    assert "clip tokens, scenes from 5000: overall, raw, zero" in text
    assert "clip tokens, scenes from 6000: motion, published, margin" in text
    assert "clip tokens, scenes from 5000: colour, published, margin" in text
    assert "scenes from 1000: overall" in text and "scenes from 0: what is there" in text
    assert "falls: nothing." in text
    (share,) = tmp_path.iterdir()
    assert (share / "table.md").read_text() in text


@pytest.mark.parametrize(
    "arguments, says",
    [(["--only", "noise"], "noise"), (["no/such/folder"], "no/such/folder")],
)
def test_what_cannot_be_compared_is_said_in_one_line(arguments, says, tmp_path, capsys):
    status = main([*arguments, "--out", str(tmp_path)])

    captured = capsys.readouterr()
    assert status == 2 and says in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert module.__doc__.startswith("virst compare:")
