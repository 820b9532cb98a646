"""virst tables: what the rows of the tables are, and that they run."""

from dataclasses import replace
import itertools
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

from clip_miniature import save_clip
from miniatures import make_mevis
import pytest
from streams import noise_frames, real_model, smallest
import torch

from virst_model.checkpoints.folder import read
from virst_model.checkpoints.load import load, save
from virst_model.evaluate import rows, tables
from virst_model.evaluate.slots import LEFT_OUT, SLOTS, Training, TrainingFailed
from virst_model.train.settings import read_settings
from virst_model.train.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]


def training(preset="7b", steps=()):
    return Training(Path("start"), preset, "synthetic", steps, Path("out"), "cpu")


def slots(stages, preset="7b", steps=()):
    """What the training program makes of the settings of each slot."""
    told = training(preset, steps).settings(stages)
    return [read_settings(path, changes)[1][0] for path, *changes in told]


def main(arguments):
    """The program on one thread: the parts are small."""
    return tables.main([*arguments, "--threads", "1"])


def table(printed):
    """The rows of a printed table: name -> cells by column."""
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if line[:1] == "|"]
    head, _, *body = lines
    return {name: dict(zip(head, cells, strict=True)) for name, *cells in body}


@pytest.mark.parametrize("preset", ["tiny", "7b"])
def test_table_9_trains_every_row_in_three_slots_of_their_own_length(preset):
    own = [STAGES[slot, preset][0] for slot in SLOTS]
    for stages in LEFT_OUT.values():
        filled = slots(stages, preset)
        assert [slot.steps for slot in filled] == [stage.steps for stage in own]


@pytest.mark.parametrize("preset", ["tiny", "7b"])
def test_a_left_out_stage_is_run_with_the_configuration_of_another(preset):
    one, two, three = (STAGES[slot, preset][0] for slot in SLOTS)
    rows_of = {
        "stages 1, 2, 3": (one, two, three),
        "without stage 1": (two, two, three),
        "stage 3 only": (three, three, three),
    }
    assert rows_of.keys() == LEFT_OUT.keys()
    for name, fillers in rows_of.items():
        for slot, filler in zip(slots(LEFT_OUT[name], preset), fillers, strict=True):
            for what in ("trains", "frozen", "lr", "schedule", "warmup", "draws", "objective"):
                assert getattr(slot, what) == getattr(filler, what), (name, what)


def test_steps_that_are_given_are_those_of_the_slot_whatever_fills_it():
    for stages in LEFT_OUT.values():
        assert [slot.steps for slot in slots(stages, "tiny", (3, 5, 7))] == [3, 5, 7]


def test_each_slot_starts_from_the_one_before_and_no_two_rows_share_another_training():
    left = {}
    for stages in (*LEFT_OUT.values(), *rows.AFTER_EACH_STAGE):
        runs = [read_settings(path, changes)[0] for path, *changes in training().settings(stages)]
        assert runs[0].start == "start"
        for number, run in enumerate(runs):
            assert number == 0 or run.start == f"{runs[number - 1].out}/weights"
            assert left.setdefault(run.out, stages[: number + 1]) == stages[: number + 1]


def test_an_installed_copy_has_the_recipes(tmp_path):
    build = ["setup.py", "-q", "build", "--build-base", str(tmp_path / "build")]
    egg = ["egg_info", "--egg-base", str(tmp_path)]
    subprocess.run([sys.executable, build[0], "-q", *egg, *build[2:]], cwd=ROOT, check=True)

    (lib,) = (tmp_path / "build").glob("lib*")
    code = "from virst_model.train.settings import RECIPES, read_settings, recipes; "
    code += "print(RECIPES, [read_settings(name)[0].stage for name in recipes()])"
    installed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(lib)},
        capture_output=True,
        text=True,
    )
    stages = sorted({stage for stage, _ in STAGES})
    folder = lib / "virst_model" / "train" / "recipes"
    assert installed.stdout.strip() == f"{folder} {stages}", installed.stderr


@pytest.mark.parametrize(("number", "rows"), [("5", 5), ("6", 5)])
def test_tables_without_training_have_a_row_for_each_choice(weights, capsys, number, rows):
    assert main([number, "--videos", "1", "--model", str(weights)]) == 0
    out = capsys.readouterr().out
    assert out.count("\n| ") == rows + 1  # and the head


@pytest.fixture(scope="module")
def pointing_weights(tmp_path_factory):
    """A folder with a model of the least size that points anywhere, and whose masks are told."""
    torch.manual_seed(0)
    model = real_model(replace(smallest(), pointing=True))
    for name in ("to_queries", "to_memory", "to_prompt"):
        torch.nn.init.normal_(getattr(model.pointing, name).weight, std=3.0)
    folder = tmp_path_factory.mktemp("pointing")
    save(model, folder, torch.float32)
    return folder


@pytest.mark.slow
def test_pointing_has_a_row_for_each_way_that_is_closed_and_whose_tokens_are_read(
    pointing_weights, capsys
):
    options = ["--videos", "2", "--kinds", "attribute", "--model", str(pointing_weights)]

    assert main(["pointing", *options]) == 0

    printed = capsys.readouterr().out
    said = "(2 stories, offline; clip tokens: 2 scenes; no training)"
    assert printed.startswith(f"Pointing, ours and not the paper's {said}")
    found = table(printed)
    assert list(found) == list(rows.CLOSED_WAYS)
    columns = {"sentences", "J", "F", "J&F", "own tokens", "other tokens", "zero tokens"}
    assert all(row.keys() == columns for row in found.values())
    told, untold = found["with pointing"], found["into neither"]
    assert {told[name] for name in columns} != {untold[name] for name in columns}


def test_a_closed_way_tells_nothing_and_the_model_is_as_it_was_after_the_rows(pointing_weights):
    model = load(pointing_weights)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, one in rows.pointing_rows(model):
        for way in ("to_queries", "to_memory", "to_prompt"):
            told = any(p.any() for p in getattr(one.pointing, way).parameters())
            assert told == (way not in rows.CLOSED_WAYS[name]), (name, way)
        for key, tensor in one.state_dict().items():
            assert key.startswith("pointing.to_") or torch.equal(tensor, own[key]), key

    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, own[key]), key


def test_into_neither_is_what_a_model_says_that_is_told_nothing(pointing_weights):
    images = noise_frames(8)
    told = {}
    with torch.inference_mode():
        for name, model in rows.pointing_rows(load(pointing_weights)):
            pixels = [model.clip_pixels(image) for image in images]
            clips = [model.encode_clip(pixels[i : i + 4]) for i in (0, 4)]
            features = [model.encode_frame(image) for image in images]
            told[name] = model.ground(clips, features, "it")
            s2 = torch.cat([f.s2 for f in features])[None]
            prompt = model.prompter.ask("it")
            states, _ = model.st_hint(model.join_clips(clips), s2, prompt)
            unhinted = model.second_fusion(states, s2)[0].transpose(0, 1)

    assert torch.allclose(told["into neither"], unhinted, atol=1e-6)
    assert not any(
        torch.allclose(told[one], told[other], atol=1e-3)
        for one, other in itertools.combinations(told, 2)
    )


def test_pointing_of_weights_that_do_not_point_is_one_line(weights, capsys):
    assert main(["pointing", "--model", str(weights)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "error: --model: these weights do not point; give those of a model that does"


def test_table_8_has_a_row_for_what_each_stage_of_a_training_left(weights, capsys, tmp_path):
    for stage in ("trunks/tracking", "alignment", "few_image", "propagation"):
        shutil.copytree(weights, tmp_path / stage / "weights")

    options = ["--videos", "1", "--model", str(weights)]
    assert main(["8", "--trained", str(tmp_path), *options]) == 0

    rows = capsys.readouterr().out.split("\n| ")[2:]
    last = "alignment + few_image + propagation"
    assert [r.split(" |")[0] for r in rows] == ["none", "alignment", "alignment + few_image", last]


def test_table_8_names_the_stage_that_a_training_did_not_leave(weights, capsys, tmp_path):
    for stage in ("trunks/tracking", "alignment"):
        shutil.copytree(weights, tmp_path / stage / "weights")

    options = ["--videos", "1", "--model", str(weights)]
    assert main(["8", "--trained", str(tmp_path), *options]) == 2

    out, err = capsys.readouterr()
    assert "| alignment |" in out and str(tmp_path / "few_image") in err


@pytest.mark.parametrize(("number", "count"), [("5", 5), ("6", 5)])
def test_a_table_of_a_data_set_has_j_f_and_their_mean(capsys, tmp_path, number, count):
    make_mevis(tmp_path)
    places = ["--root", str(tmp_path), "--out", str(tmp_path / "out")]

    assert main([number, "--dataset", "mevis", "--videos", "1", *places]) == 0

    printed = capsys.readouterr().out
    assert "mevis valid_u, 1 records" in printed
    found = table(printed)
    assert len(found) == count
    for row in found.values():
        assert row["expressions"] == "3"
        mean = (float(row["J"]) + float(row["F"])) / 2
        assert float(row["J&F"]) == pytest.approx(mean, abs=0.1)
    left = list((tmp_path / "out" / f"table_{number}").glob("*/results.json"))
    assert len(left) == count
    assert {len(json.loads(said.read_text())["expressions"]) for said in left} == {3}


def test_a_table_of_a_split_without_truth_is_masks_and_says_so(weights, capsys, tmp_path):
    make_mevis(tmp_path)
    places = ["--root", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(weights)]

    assert main(["6", "--dataset", "mevis", "--split", "valid", *places]) == 0

    printed = capsys.readouterr().out
    assert printed.count("no truth in this split: masks only, in") == len(rows.ALPHAS)
    for alpha in rows.ALPHAS:
        masks = tmp_path / "out" / "table_6" / f"alpha_{alpha}" / "Annotations"
        assert len(list(masks.rglob("*.png"))) == 3 * 8 + 5


def test_the_guided_row_of_table_5_is_clips_where_there_is_one(weights, capsys, tmp_path):
    save_clip(tmp_path / "clip")
    options = ["--videos", "1", "--kinds", "attribute", "--model", str(weights)]

    assert main(["5", *options]) == 0
    assert "guided, one anchor by a colour score, not CLIP" in table(capsys.readouterr().out)

    assert main(["5", *options, "--clip", str(tmp_path / "clip")]) == 0
    assert "guided, one anchor by CLIP" in table(capsys.readouterr().out)


def test_table_10_has_rate_and_memory_of_every_alpha_and_names_the_device(
    weights, capsys, tmp_path
):
    make_mevis(tmp_path)
    places = ["--dataset", "mevis", "--root", str(tmp_path), "--device", "cpu"]

    assert main(["10", "--videos", "1", "--model", str(weights), *places]) == 0

    printed = capsys.readouterr().out
    assert "(mevis valid_u, 1 records, offline; device " in printed
    found = table(printed)
    assert list(found) == [f"alpha {alpha}" for alpha in range(1, 9)]
    for row in found.values():
        assert row["frames"] == "24" and float(row["FPS"]) > 0 and float(row["peak MiB"]) > 1


def test_table_11_is_the_rate_of_the_pipeline_on_a_data_set(weights, capsys, tmp_path):
    make_mevis(tmp_path)
    places = ["--dataset", "mevis", "--root", str(tmp_path), "--split", "valid"]

    assert main(["11", "--model", str(weights), *places]) == 0

    (row,) = table(capsys.readouterr().out).values()
    assert row["sentences"] == "4" and row["frames"] == "29" and float(row["FPS"]) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["5", "--dataset", "mevis"], "--root: where is mevis?"),
        (["9", "--preset", "7b"], "--preset 7b: needs --start DIR"),
        (["6", "--second-fusion", "mlp"], "--second-fusion mlp: these weights have attention"),
        (["6", "--anchors", "guided", "--videos", "1"], "--anchors guided: needs --clip DIR"),
        (["6", "--start", "/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_what_a_table_cannot_be_made_of_is_one_line(capsys, arguments, said):
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {said}")


@pytest.mark.parametrize("number", ["4", "8", "9"])
@pytest.mark.parametrize("changed", ["--start", "--train-data", "--alpha"])
def test_a_folder_of_rows_of_another_training_is_not_gone_on_with(
    weights, capsys, tmp_path, monkeypatch, number, changed
):
    for name in ("fusion_rows", "stage_rows", "left_out_rows"):
        monkeypatch.setattr(rows, name, lambda training, load: iter(()))
    other = shutil.copytree(weights, tmp_path / "other")
    first = {"--start": weights, "--train-data": tmp_path / "a" / "sets", "--alpha": 4}
    then = {"--start": other, "--train-data": tmp_path / "b" / "sets", "--alpha": 2}

    def run(told):
        words = [str(word) for pair in told.items() for word in pair]
        return main([number, "--videos", "1", "--steps", "1", "--out", str(tmp_path), *words])

    assert run(first) == run(first) == 0
    capsys.readouterr()
    assert run(first | {changed: then[changed]}) == 2
    assert "holds results of another run" in capsys.readouterr().err


def test_rows_of_table_4_start_from_what_the_start_holds_to_the_last_bit(
    weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(Training, "run", lambda self, stages: self.start)
    training = Training(weights, "tiny", "synthetic", (1,), tmp_path, "")

    def as_on_a_gpu(folder):
        return load(folder, dtype=torch.bfloat16)

    before = read(weights)[1]
    assert any(not torch.equal(x, x.bfloat16().to(x.dtype)) for x in before.values())
    for name, _ in rows.fusion_rows(training, as_on_a_gpu):
        after = read(tmp_path / name.replace(" ", "_") / "start")[1]
        kept = [n for n in before if n in after and not n.startswith("second_fusion.")]
        assert len(kept) > len(before) / 2
        assert [n for n in kept if not torch.equal(after[n].float(), before[n].float())] == []


def test_a_training_that_was_asked_to_end_early_is_no_row_though_its_status_is_0(
    tmp_path, monkeypatch
):
    stages, started = LEFT_OUT["stages 1, 2, 3"], []
    old = tmp_path / "alignment_few_image" / "weights"
    old.mkdir(parents=True)
    (old / "model.safetensors").write_bytes(b"of fewer steps")

    def run(command, **options):
        (out,) = (word.removeprefix("out=") for word in command if word.startswith("out="))
        started.append(Path(out).name)
        if len(started) == 1:  # the only one that comes to its end
            (Path(out) / "weights").mkdir(parents=True)
            (Path(out) / "weights" / "model.safetensors").write_bytes(b"")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("virst_model.evaluate.slots.subprocess.run", run)
    training = Training(Path("start"), "tiny", "synthetic", (1, 1, 1), tmp_path, "cpu")

    with pytest.raises(TrainingFailed, match=r"few_image: .*asked to end early, in .*few_image;"):
        training.run(stages)
    assert started == ["alignment", "alignment_few_image"]


@pytest.mark.slow
def test_rows_with_training_are_trained_and_scored_on_a_data_set(weights, capfd, tmp_path):
    """Table 8: its training is the first row of Table 9, too, and three stages and not nine."""
    make_mevis(tmp_path)
    places = ["--root", str(tmp_path), "--out", str(tmp_path / "out"), "--start", str(weights)]

    arguments = ["--dataset", "mevis", "--videos", "1", "--steps", "1", *places]
    assert main(["8", *arguments]) == 0

    assert len(table(capfd.readouterr().out)) == 4


@pytest.mark.slow
def test_rows_with_training_are_trained_on_stories_too(weights, capfd, tmp_path, monkeypatch):
    """One of the four: each takes a training."""
    monkeypatch.setattr(rows, "FUSIONS", rows.FUSIONS[-1:])
    places = ["--out", str(tmp_path), "--start", str(weights)]
    assert main(["4", "--videos", "1", "--steps", "1", *places]) == 0
    assert len(table(capfd.readouterr().out)) == 1
