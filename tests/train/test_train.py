"""What each stage trains, on what, and what comes out. Random weights of the least size."""

from dataclasses import fields, replace
from fnmatch import fnmatchcase
from itertools import pairwise
import json
from pathlib import Path
import re
import sys

from accelerate import DistributedType
from accelerate.commands.config.config_args import load_config_from_file
from image_miniatures import make_reason_seg
from miniatures import make_mevis, make_video_qa
import numpy as np
import pytest
from streams import real_model, smallest
import torch
from training import command, logged, run, run_here, smallest_weights

from virst_model.checkpoints.load import empty, load, save
from virst_model.config import behaviour, full
from virst_model.data.sample import LOG_UNIFORM, SEGMENTS, VIDEO, Sample
from virst_model.model.prompt import END, IGNORE, START
from virst_model.train import gate
from virst_model.train.__main__ import main
from virst_model.train.chain import read_chain
from virst_model.train.criterion import Terms, criterion
from virst_model.train.forward import predict
from virst_model.train.loop import Ending
from virst_model.train.order import segment_window
from virst_model.train.schedule import learning_rate
from virst_model.train.settings import RECIPES, Run, SettingsError, read_settings, recipes
from virst_model.train.stage import Objective, SceneDraws, Stage, WindowDraws
from virst_model.train.stages import STAGES
from virst_model.train.synthetic import SyntheticBatches, SyntheticSamples
from virst_model.train.trainee import Trainee, make_trainee, save_weights
from virst_model.train.windows import WindowBatches

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("alignment", "few_image", "propagation")
# Parameters that train and get no gradient in the first step, and why.
WITHOUT_GRADIENT = {
    "alignment": {
        "*.lora_A.*": "it reaches the output through lora_B, which is 0 at first",
    },
    "few_image": {
        "*.lora_A.*": "as above",
        "*.memory_attention.*": "nothing is tracked before the last stage",
        "*.memory_encoder.*": "nothing is tracked before the last stage",
        "*.output_hypernetworks_mlps.[123].*": "the tiny preset reads the single-mask token",
    },
    "propagation": {
        "*.lora_A.*": "as above",
        "*.output_hypernetworks_mlps.[123].*": "as above",
    },
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return smallest_weights(tmp_path_factory.mktemp("start"))


def trainee_of(name, start, **changes):
    stage = replace(STAGES[name, "tiny"][0], **changes)
    return make_trainee(Run(name, "tiny", start=str(start)), stage), stage


def batch_of(model, number=0, in_words=0.0, **draws):
    """A batch of synthetic windows of 8 frames."""
    source = SyntheticSamples(seed=1, in_words=in_words)
    return WindowBatches(source, model, WindowDraws((8,), **draws), seed=0).draw(number)


def settings_of(tmp_path, text, *changes):
    path = tmp_path / "stage.yaml"
    path.write_text(text)
    return read_settings(path, changes)


# Settings.


@pytest.mark.parametrize("name", ["trunks", *NAMES])
def test_the_shipped_file_of_a_stage_is_read_and_says_what_it_is(name):
    header = (RECIPES / f"{name}.yaml").read_text().partition("stage:")[0]

    run, stages = read_settings(name)

    assert run.stage == name and stages
    assert all(said in header for said in ("2603.27060", "Time: "))
    assert re.search(r"virst(_model)? train ", header)


def test_every_stage_has_a_recipe_and_every_recipe_a_stage():
    assert recipes() == sorted({stage for stage, _ in STAGES})


def test_the_shipped_file_for_several_gpus_asks_for_zero_stage_2_in_half_precision():
    config = load_config_from_file(str(ROOT / "config" / "zero2.yaml"))

    assert config.distributed_type == DistributedType.DEEPSPEED
    assert (config.deepspeed_config["zero_stage"], config.mixed_precision) == (2, "bf16")


def test_a_change_is_stronger_than_the_file_and_the_file_than_the_stage(tmp_path):
    run, (stage,) = settings_of(
        tmp_path, "stage: propagation\nlr: 3e-5\nseed: 1\n", "seed=2", "draws.anchors=1"
    )

    assert (run.seed, stage.lr, stage.draws.anchors, stage.draws.after) == (2, 3e-5, 1, 5)


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_stages_draw_from_segments_and_those_for_the_node_as_a_stream_does(name):
    assert STAGES[name, "7b"][0].draws.spacing == SEGMENTS
    assert STAGES[name, "tiny"][0].draws.spacing == LOG_UNIFORM


@pytest.mark.parametrize("spacing", [SEGMENTS, LOG_UNIFORM])
def test_frames_are_drawn_with_the_spacing_of_the_stage(start, spacing):
    asked = []

    class Watched(SyntheticSamples):
        def draw(self, number, frames, spacing):
            asked.append(spacing)
            return super().draw(number, frames, spacing)

    WindowBatches(Watched(), load(start), WindowDraws((4,), spacing), seed=0).draw(0)

    assert asked == [spacing]


@pytest.mark.parametrize(
    ("text", "change", "said"),
    [
        ("stage: alignment\nlearning_rate: 1", "seed=0", "'learning_rate'; known are absence"),
        ("stage: alignment", "draws.anchor=1", "'anchor'; known are after, anchors"),
        ("stage: alignment", "draws.spacing=even", "draws.spacing is 'even'; known are segments"),
        ("stage: alignment", "steps=many", "steps is 'many', not a int"),
        ("stage: alignment", "steps=0", "steps is 0, not at least 1"),
        ("stage: alignment", "schedule=sudden", "'sudden'; known are constant, linear, cosine"),
        ("stage: distillation", "seed=0", "no stage distillation .*known are trunks"),
        ("stage: trunks", "preset=7b", r"no stage trunks \(7b\)"),
        ("lr: 1", "seed=0", "has no stage"),
        ("stage: alignment", "seed", "seed: is not key=value"),
        ("stage: [", "seed=0", "stage.yaml: "),
    ],
)
def test_what_cannot_be_followed_is_said_in_one_line(tmp_path, text, change, said):
    with pytest.raises(SettingsError, match=said) as error:
        settings_of(tmp_path, text, change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("help", ["heads", "look", "read"])
def test_a_term_that_needs_scenes_is_refused_on_videos(tmp_path, help):
    with pytest.raises(SettingsError, match=rf"objective\.{help} is 0.5; it needs .* scenes"):
        settings_of(tmp_path, "stage: alignment", f"objective.{help}=0.5")


def test_a_name_that_is_no_recipe_is_one_line_with_those_that_are():
    with pytest.raises(
        SettingsError, match=r"propagate: cannot be read .* one of alignment, eyes, few"
    ):
        read_settings("propagate")


# One stage after the other.


def test_each_stage_of_several_starts_from_the_one_before_in_a_folder_of_its_own():
    changes = ["preset=tiny", "start=first", "out=out", "seed=5", "only=[clips,tracking]"]
    with pytest.raises(SettingsError, match="only is 'clips'"):
        read_chain(["trunks", "alignment"], changes)
    chain = read_chain(["trunks", "alignment", "few_image"], changes[:-1])

    folders = [f"out/trunks/{stage.name}" for stage in STAGES["trunks", "tiny"]]
    folders += ["out/alignment", "out/few_image"]
    assert [run.out for run, _ in chain] == folders
    starts = ["first", *(f"{folder}/weights" for folder in folders[:-1])]
    assert [run.start for run, _ in chain] == starts
    assert [run.seed for run, _ in chain] == [5, 6, 7, 8, 9, 5, 5]


def test_a_stage_alone_goes_where_it_is_told():
    ((run, _),) = read_chain(["alignment"], ["preset=tiny", "start=first", "out=out"])
    assert (run.start, run.out) == ("first", "out")

    some = read_chain(["trunks"], ["only=[clips,tracking]", "out=out", "seed=5"])
    assert [(run.out, run.seed) for run, _ in some] == [("out/clips", 7), ("out/tracking", 9)]


def test_without_a_folder_each_of_several_goes_to_that_of_its_recipe():
    chain = read_chain(["alignment", "few_image"], ["preset=tiny", "start="])
    assert [run.out for run, _ in chain] == ["out/train/alignment", "out/train/few_image"]


def test_two_stages_in_one_folder_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="alignment and alignment would both go to out/al"):
        read_chain(["alignment", "alignment"], ["out=out"])


def test_several_stages_are_trained_by_one_command(start, tmp_path, monkeypatch, capsys):
    started = []

    def train(run, stage, *rest):
        started.append((stage.name, run.start, Path(run.start).is_dir()))
        return Ending(finished=True, asked=False)

    monkeypatch.setattr("virst_model.train.__main__.train", train)
    arguments = command("alignment", tmp_path, start)

    assert main([arguments[0], "few_image", *arguments[1:]]) == 0

    first = str(tmp_path / "alignment" / "weights")
    assert started == [("alignment", str(start), True), ("few_image", first, True)]
    assert f"the weights are in {tmp_path}/few_image/weights" in capsys.readouterr().out


def test_a_stage_is_not_begun_after_one_whose_last_step_was_asked_to_be_the_last(
    start, tmp_path, monkeypatch, capsys
):
    started = []

    def train(run, stage, *rest):
        started.append(stage.name)
        return Ending(finished=True, asked=True)

    monkeypatch.setattr("virst_model.train.__main__.train", train)
    arguments = command("alignment", tmp_path, start)

    assert main([arguments[0], "few_image", *arguments[1:]]) == 0

    said = capsys.readouterr().out
    assert started == ["alignment"]
    assert f"alignment: finished; the weights are in {tmp_path}/alignment/weights" in said
    assert said.endswith("few_image: not begun, as asked; the same command goes on with it\n")


def test_a_run_says_now_and_then_whether_its_model_reads_the_video(
    start, tmp_path, monkeypatch, capsys
):
    looked_at = replace(gate._RUN, videos=2, window=4, height=60, width=80)
    monkeypatch.setattr(gate, "_RUN", looked_at)

    assert main([*command("alignment", tmp_path, start), "steps=2", "sight_every=2"]) == 0

    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (looked,) = [line for line in lines if "sight/overall own" in line]
    assert looked["step"] == 2 and looked["sight/overall margin"] <= looked["sight/overall own"]
    said = [line for line in capsys.readouterr().out.splitlines() if "step 2: " in line]
    assert len(said) == 1 and "sight/overall own " in said[0] and "margin" in said[0]


def test_the_recipe_of_a_model_that_points_looks_whether_it_reads_the_video():
    assert all(run.sight_every for run, _ in read_chain(["pointing"]))
    assert not any(run.sight_every for run, _ in read_chain(["alignment"]))


def test_the_recipes_from_nothing_to_a_model_that_points_are_one_chain():
    chain = read_chain(["trunks", "eyes", "pointing"])

    assert [stage.name for _, stage in chain][-4:] == ["point", "masks", "words", "follow"]
    assert chain[0][0].start == ""
    for (before, _), (after, _) in pairwise(chain):
        assert after.start == f"{before.out}/weights"


def test_a_wrong_setting_ends_the_program_with_one_line(tmp_path, capfd):
    status, said = run_here(command("alignment", tmp_path, tmp_path / "nowhere"), capfd)

    assert status == 2
    assert said.startswith("error: ") and "nowhere: no such folder" in said


@pytest.mark.parametrize(
    ("said", "meant"),
    [("8", (8,)), ("4,8", (4, 8)), ("[4,8]", (4, 8))],
)
def test_a_list_may_be_said_without_brackets(tmp_path, said, meant):
    _, (stage,) = settings_of(tmp_path, "stage: propagation", f"draws.windows={said}")
    run, _ = settings_of(tmp_path, "stage: propagation", "data=ROOT", "sets=own,mevis")

    assert stage.draws.windows == meant
    assert run.sets == ("own", "mevis")


@pytest.mark.parametrize("key", ["sets", "only"])
def test_a_list_of_nothing_is_empty(tmp_path, key):
    run, stages = settings_of(tmp_path, "stage: propagation", f"{key}=")

    assert getattr(run, key) == () and len(stages) == 1


@pytest.mark.parametrize("said", ["motion", "[[motion]]", "[[motion,often]]", "[[0.5,motion]]"])
def test_a_kind_without_a_share_is_refused(tmp_path, said):
    text = "stage: trunks\npreset: tiny"
    _, stages = settings_of(tmp_path, text, "draws.kinds=[[motion,0.5],[shift,1]]")
    assert stages[0].draws.kinds == (("motion", 0.5), ("shift", 1))

    with pytest.raises(SettingsError, match="give pairs, as"):
        settings_of(tmp_path, text, f"draws.kinds={said}")


def test_the_help_names_every_stage_and_every_key(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    said = capsys.readouterr().out
    assert ended.value.code == 0
    for (name, preset), stages in STAGES.items():
        rows = [line.split() for line in said.splitlines() if line.startswith(f"  {name}")]
        counts = [row[-2] for row in rows if row[-3] == preset]
        assert counts == [str(stage.steps) for stage in stages], name
    for kind in (Run, Stage, WindowDraws, SceneDraws, Objective):
        for key in {field.name for field in fields(kind)} - {"name"}:
            assert re.search(rf"\b{key}\b", said), key
    assert "virst train propagation preset=tiny data=ROOT" in said


def test_a_finished_run_says_where_its_weights_are_and_what_comes_next(start, tmp_path, capsys):
    assert main(command("alignment", tmp_path, start, steps=1)) == 0

    said = capsys.readouterr().out
    assert said.startswith(f"alignment: finished; the weights are in {tmp_path}/weights. Next:\n")
    assert said.endswith(f"--model {tmp_path}/weights\n")
    assert (tmp_path / "weights" / "model.safetensors").exists()


def test_a_run_that_was_asked_to_end_says_how_it_goes_on(start, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("virst_model.train.__main__.train", lambda *_: Ending(False, True))

    assert main(command("alignment", tmp_path, start)) == 0

    said = capsys.readouterr().out
    assert said == f"alignment: ended early; the same command goes on from {tmp_path}\n"


def test_the_full_preset_needs_weights_to_start_from():
    stage = STAGES["alignment", "7b"][0]
    with pytest.raises(SettingsError, match=r"start: .*needs a folder of weights"):
        make_trainee(Run("alignment", "7b"), stage)


@pytest.mark.parametrize("recipe", ["eyes", "pointing"])
def test_a_stage_that_trains_a_part_begins_with_the_packaged_model(recipe):
    trainee = make_trainee(Run(recipe, "tiny"), STAGES[recipe, "tiny"][0])

    packaged = load(dtype=torch.float32).segmenter.state_dict()
    for name, value in trainee.model.segmenter.state_dict().items():
        assert torch.equal(value, packaged[name]), name


def test_a_stage_that_trains_everything_begins_with_nothing():
    first, other = (
        make_trainee(Run("trunks", "tiny", seed=seed), STAGES["trunks", "tiny"][0]).model
        for seed in (1, 2)
    )
    name = "segmenter.image_encoder.trunk.patch_embed.proj.weight"
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


# What trains.


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_trains_exactly_what_it_names(name, start):
    trainee, stage = trainee_of(name, start)
    names = [name for name, _ in trainee.model.named_parameters()]
    trained = {name.removeprefix("model.") for name in trainee.trained()}

    assert trained == {n for n in names if any(fnmatchcase(n, p) for p in stage.trains)}
    for pattern in stage.trains:
        assert any(fnmatchcase(n, pattern) for n in trained), pattern
    segmenting = {n.split(".")[1] for n in trained if n.startswith("segmenter.")}
    parts = {"sam_mask_decoder", "memory_attention", "memory_encoder"}
    assert segmenting == (set() if name == "alignment" else parts)
    assert any(n.startswith("vlm.projector.") for n in trained) == (name != "alignment")
    assert not any(n.startswith("vlm.umt.") for n in trained)
    listed = "\n  ".join(sorted(trained))
    sys.stdout.write(f"\n{name} trains:\n  {listed}\n")  # pytest -s shows it


@pytest.mark.parametrize("name", NAMES)
def test_at_full_size_as_much_trains_as_the_release_names(name):
    model = empty(full(), load().tokenizer)
    with torch.device("meta"):
        trainee = Trainee(model, None, STAGES[name, "7b"][0])
    # Elements of the released model's parts, with LoRA of rank 64.
    parts = {"lora_": 161_480_704, "lm_head": 543_502_848, "tokens_delta": 3584}
    parts |= {"initial_fusion": 54_100_737, "second_fusion": 4_795_392}
    if name != "alignment":
        parts |= {"sam_mask_decoder": 4_215_109, "vlm.projector": 16_522_240}
        parts |= {"memory_attention": 5_922_304, "memory_encoder": 1_384_608}
    found = dict.fromkeys(parts, 0)
    for parameter_name, parameter in trainee.trained().items():
        (part,) = [part for part in parts if part in parameter_name]
        found[part] += parameter.numel()

    assert found == parts


def test_a_file_of_a_model_and_heads_is_a_start(tmp_path):
    (stage, *_) = STAGES["trunks", "tiny"]
    first = make_trainee(Run("trunks", "tiny", seed=1), stage)
    state = {"model": first.model.state_dict(), "heads": first.heads.state_dict()}
    torch.save(state, tmp_path / "stage.pt")

    again = make_trainee(Run("trunks", "tiny", start=str(tmp_path / "stage.pt")), stage)

    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_file_is_no_start(content, tmp_path):
    path = tmp_path / "stage.pt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"stage\.pt cannot be read"):
        make_trainee(Run("trunks", "tiny", start=str(path)), STAGES["trunks", "tiny"][0])


def test_a_pattern_that_matches_nothing_is_refused(start):
    with pytest.raises(SettingsError, match=r"no parameter is called third_fusion\.\*"):
        trainee_of("alignment", start, trains=("third_fusion.*",))


@pytest.mark.parametrize("name", NAMES)
def test_every_trained_parameter_has_a_gradient_after_one_step(name, start):
    trainee, stage = trainee_of(name, start)
    for number in range(3):
        batch = batch_of(trainee.model, number, propagation=stage.draws.propagation)
        trainee(batch)[0].backward()

    still = {n for n, p in trainee.trained().items() if p.grad is None or not p.grad.any()}

    excused = {n for n in trainee.trained() for p in WITHOUT_GRADIENT[name] if fnmatchcase(n, p)}
    assert still == excused


def test_of_the_embeddings_only_the_row_of_the_st_token_changes(start, tmp_path):
    assert main(command("alignment", tmp_path, start, steps=2, weight_decay=0.1)) == 0

    before, after = load(start), load(tmp_path / "weights")

    rows = [model.vlm.llm.get_input_embeddings().weight for model in (before, after)]
    changed = (rows[0] != rows[1]).any(dim=1).nonzero()[:, 0].tolist()
    assert changed == [before.prompter.st_id]
    assert torch.equal(before.segmenter.no_mem_embed, after.segmenter.no_mem_embed)


def test_merged_adapters_say_what_the_adapters_said(start):
    trainee, _ = trainee_of("propagation", start)
    for parameter in trainee.trained().values():
        torch.nn.init.normal_(parameter, std=0.1)
    trainee.eval()
    batch = batch_of(trainee.model, propagation=True)
    apart = trainee(batch)[1]

    merged = trainee.merge()

    assert {n for n, _ in merged.named_parameters()} == {
        n for n, _ in load(start).named_parameters()
    }
    objective = STAGES["propagation", "tiny"][0].objective
    together = criterion(predict(merged, batch, objective), batch, objective).all
    assert together.keys() == apart.keys()
    for name, value in apart.items():
        torch.testing.assert_close(together[name], value, atol=1e-5, rtol=1e-5)


def test_a_model_in_half_precision_trains_in_full_precision(start):
    stage = STAGES["propagation", "tiny"][0]
    trainee = make_trainee(Run("propagation", "tiny", start=str(start)), stage, torch.bfloat16)
    batch = batch_of(trainee.model, propagation=True)

    with torch.autocast("cpu", torch.bfloat16):
        loss, _, _ = trainee(batch)
    loss.backward()

    assert loss.isfinite()
    assert trainee.model.dtype == torch.bfloat16
    assert {p.dtype for p in trainee.trained().values()} == {torch.float32}


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_what_half_precision_would_round_off_is_carried_from_stage_to_stage(
    stored, start, tmp_path
):
    stage, little = STAGES["propagation", "tiny"][0], 1e-6
    save(load(start), tmp_path / "start", stored)
    start = folder = tmp_path / "start"
    for number in range(3):
        trainee = make_trainee(Run(stage.name, "tiny", start=str(folder)), stage, torch.bfloat16)
        for name, parameter in trainee.trained().items():
            if ".lora_" in name:  # 16 / 64 * B A = little
                value = 1.0 if ".lora_A." in name else 4 * little / 64
                torch.nn.init.constant_(parameter, value)
            else:
                parameter.data += little
        folder = tmp_path / str(number)
        save_weights(trainee, folder)

    before, after = (load(path, dtype=torch.float32) for path in (start, folder))

    st = before.prompter.st_id
    trained = {
        "adapted": lambda model: model.vlm.llm.model.layers[0].self_attn.q_proj.weight,
        "decoder": lambda model: model.segmenter.sam_mask_decoder.mask_tokens.weight,
        "head": lambda model: model.vlm.llm.lm_head.weight,
        "st row": lambda model: model.vlm.llm.get_input_embeddings().weight[st],
    }
    for name, of in trained.items():
        added = of(after) - of(before)
        assert torch.allclose(added, torch.full_like(added, 3 * little), atol=2e-7), name
    same = [
        torch.equal(of(before), of(after))
        for of in (
            lambda model: model.vlm.umt.vision_layernorm.weight,
            lambda model: model.segmenter.no_mem_embed,
            lambda model: model.vlm.llm.get_input_embeddings().weight[:st],
        )
    ]
    assert all(same)  # what never trained is what it was


def test_what_a_stage_does_not_train_is_never_copied_from_its_file(start, tmp_path):
    stage = STAGES["alignment", "tiny"][0]
    model = load(start)
    for parameter in model.parameters():
        parameter.data += 1 / 3  # which half precision rounds
    save(model, tmp_path, torch.float16)
    trainee = make_trainee(Run(stage.name, "tiny", start=str(tmp_path)), stage, torch.bfloat16)
    assert {p.dtype for p in trainee.model.segmenter.parameters()} == {torch.bfloat16}

    merged = trainee.merge()

    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    own = [line[0].split("-") for line in maps if line[-1] == str(tmp_path / "model.safetensors")]
    spans = [range(int(first, 16), int(last, 16)) for first, last in own]
    held = [*merged.segmenter.named_parameters(), *merged.vlm.umt.named_parameters()]
    assert len(held) > 100
    assert [n for n, p in held if not any(p.data_ptr() in span for span in spans)] == []


def test_computing_again_in_the_backward_pass_changes_no_gradient(start):
    gradients = []
    for checkpointing in (False, True):
        trainee, _ = trainee_of("propagation", start, checkpointing=checkpointing)
        torch.manual_seed(0)
        trainee(batch_of(trainee.model, propagation=True))[0].backward()
        gradients.append([p.grad for p in trainee.trained().values()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain)


# What is drawn.


def test_a_batch_follows_from_its_number_alone(start):
    model = load(start)
    one, again, other = (batch_of(model, number) for number in (3, 3, 4))

    assert torch.equal(one.frames.pixels, again.frames.pixels)
    assert torch.equal(one.truth, again.truth)
    assert one.frames.anchors == again.frames.anchors
    assert (one.sentences.texts, one.sentences.wordings) == (
        again.sentences.texts,
        again.sentences.wordings,
    )
    assert not torch.equal(one.frames.pixels, other.frames.pixels)


def test_three_anchors_and_the_frames_around_them_are_segmented(start):
    model = load(start)
    for number in range(8):
        batch = batch_of(model, number, propagation=True)
        anchors = batch.frames.anchors
        near = {t for a in anchors for t in range(a - 2, a + 6)} & set(range(8))
        assert len(set(anchors)) == 3
        assert batch.frames.tracked == sorted(near - set(anchors))
        assert batch.truth.shape[-2:] == (model.config.segmenter.side,) * 2
        assert batch_of(model, number).frames.tracked == []


def test_a_frame_that_fills_up_a_short_video_is_encoded_once(start):
    picture = np.zeros((20, 30, 3), np.uint8)

    class Short:
        def draw(self, number, frames, spacing):
            masks = np.ones((1, frames, 20, 30), bool)
            shown = [picture] * frames
            return Sample("mevis", "1", shown, (0,) * frames, ("sky",), masks, None, VIDEO)

    draws = WindowDraws((8,), propagation=True)
    frames = WindowBatches(Short(), load(start), draws, seed=0).draw(0).frames

    assert frames.pixels.shape[1] == 1 and frames.clips.shape[1:3] == (2, 4)
    assert (frames.window, frames.anchors, frames.tracked) == ([0] * 8, [0], [])


# What is minimised.


def test_the_loss_is_the_weighted_sum_of_the_five_terms(start):
    trainee, _ = trainee_of("propagation", start)

    loss, terms, _ = trainee(batch_of(trainee.model, propagation=True))

    assert set(terms) == {"ce", "bce", "dice", "iou", "occ"}
    weights = {"ce": 1, "bce": 1, "dice": 1, "iou": 0.05, "occ": 0.05}  # eq. (15), (16)
    expected = sum(weights[name] * value for name, value in terms.items())
    torch.testing.assert_close(loss, expected)


def test_the_release_counts_the_iou_term_twice(start):
    trainee, stage = trainee_of("propagation", start)
    batch = batch_of(trainee.model, propagation=True)
    terms = criterion(predict(trainee.model, batch, stage.objective), batch, stage.objective)

    once = terms.total(stage.objective, behaviour("paper").iou_twice)
    twice = terms.total(stage.objective, behaviour("released").iou_twice)

    torch.testing.assert_close(twice - once, 0.05 * terms.all["iou"])


def test_a_prediction_does_not_know_the_truth():
    (stage, *_) = STAGES["trunks", "tiny"]
    trainee = make_trainee(Run("trunks", "tiny"), stage)
    batch = SyntheticBatches(replace(stage.draws, scenes=1), 128, seed=0).draw(0)
    blind = replace(batch, truth=None, auxiliaries=None)

    known, guessed = (
        predict(trainee.model, one, stage.objective, trainee.heads) for one in (batch, blind)
    )

    assert known.decoded.keys() == guessed.decoded.keys() == set(batch.frames.segmented)
    for frame, masks in known.decoded.items():
        assert torch.equal(masks.raw_logits, guessed.decoded[frame].raw_logits)
    assert known.scores.keys() == guessed.scores.keys()


def test_tracked_frames_have_means_of_their_own_that_are_added(start):
    trainee, stage = trainee_of("propagation", start)
    batch = batch_of(trainee.model, propagation=True)
    assert batch.frames.tracked
    together, apart = stage.objective, replace(stage.objective, tracked_apart=True)
    prediction = predict(trainee.model, batch, together)
    one, two = (criterion(prediction, batch, objective) for objective in (together, apart))

    count = {name: len(getattr(batch.frames, name)) for name in ("anchors", "tracked")}
    whole = count["anchors"] * two.all["occ"] + count["tracked"] * two.tracked["occ"]
    torch.testing.assert_close(whole / sum(count.values()), one.all["occ"])
    assert set(two.tracked) == {"bce", "dice", "iou", "occ"} and not one.tracked
    added = {name: value + two.tracked.get(name, 0) for name, value in two.all.items()}
    torch.testing.assert_close(two.total(apart), Terms(added).total(together))
    assert "occ_tracked" in two.labelled() and set(one.labelled()) == set(one.all)


def test_frames_that_nobody_needs_may_be_left_out_of_a_batch():
    stage = STAGES["trunks", "tiny"][-1]
    trainee = make_trainee(Run("trunks", "tiny"), stage)
    draws = replace(stage.draws, scenes=2, windows=(8,), track_share=1.0)
    batch = SyntheticBatches(draws, 128, seed=0).draw(0)
    frames = batch.frames
    kept = frames.encoded
    assert kept != list(range(len(kept)))
    fewer = replace(
        frames,
        pixels=frames.pixels[:, kept],
        times=[frames.times[frame] for frame in kept],
        window=[kept.index(frame) for frame in frames.window],
        anchors=[kept.index(frame) for frame in frames.anchors],
        tracked=[kept.index(frame) for frame in frames.tracked],
    )

    whole, part = (
        predict(trainee.model, replace(batch, frames=each), stage.objective).decoded
        for each in (frames, fewer)
    )

    assert [kept[frame] for frame in part] == list(whole) == frames.segmented
    for frame, masks in part.items():
        assert torch.equal(masks.raw_logits, whole[kept[frame]].raw_logits)


def test_an_answer_in_words_is_learned_and_nothing_else(start):
    trainee, _ = trainee_of("propagation", start)

    loss, terms, watched = trainee(batch_of(trainee.model, in_words=1.0))

    assert set(terms) == {"ce"} and not watched
    assert loss.item() == pytest.approx(terms["ce"].item())


def test_labels_of_an_answer_are_its_words_its_role_and_the_marks_of_the_turns(start):
    model = load(start)
    tokenizer = model.tokenizer

    prompt = model.prompter.tell("Is there a circle?", "Yes.")

    learned = prompt.labels[prompt.labels != IGNORE].tolist()
    marks = [tokenizer.token_to_id(START), tokenizer.token_to_id(END)]
    newline, role, words = (
        tokenizer.encode(text, add_special_tokens=False).ids
        for text in ("\n", "assistant\n", "Yes.")
    )
    # Line breaks count as marks: after the roles and the video, and after each turn.
    ended = [marks[1], *newline]
    system, user = [marks[0], *newline, *ended], [marks[0], *newline, *newline, *ended]
    assert learned == [*system, *user, marks[0], *role, *words, *ended]


def test_gradients_flow_through_the_memory_to_the_anchors_prompts():
    model = real_model(smallest())
    side = model.config.segmenter.side
    frames = [model.segmenter.encode(torch.randn(1, 3, side, side)) for _ in range(3)]
    prompt = torch.randn(1, 10, model.config.segmenter.dim, requires_grad=True)

    decoded = segment_window(model, frames, {0: prompt})
    decoded[2].raw_logits.sum().backward()

    assert prompt.grad.any()


def test_the_auxiliary_heads_see_scenes_alone():
    (stage, *_) = STAGES["trunks", "tiny"]
    trainee = make_trainee(Run("trunks", "tiny"), stage)
    batch = SyntheticBatches(replace(stage.draws, scenes=1), 128, seed=0).draw(0)

    _, terms, _ = trainee(batch)

    assert {"shape", "clip_motion", "words", "present", "match", "read", "ce"} <= set(terms)


def test_the_rate_rises_and_then_follows_its_schedule():
    constant, linear = (STAGES[name, "7b"][0] for name in ("alignment", "propagation"))

    assert learning_rate(constant, 0) == pytest.approx(2e-4 / 100)
    assert learning_rate(constant, 99) == learning_rate(constant, 1999) == 2e-4
    assert learning_rate(linear, linear.steps // 2) == pytest.approx(1e-5 / 2)
    assert learning_rate(linear, linear.steps - 1) < 1e-5 / 1000


# Whole runs.


def test_a_run_leaves_a_log_pictures_and_weights(start, tmp_path, capfd):
    status, said = run_here(
        command("propagation", tmp_path, start, steps=2, picture_every=1), capfd
    )

    assert status == 0, said
    lines = logged(tmp_path)
    assert [line["step"] for line in lines] == [1, 2]
    assert {"loss", "ce", "bce", "dice", "iou", "occ", "lr", "anchor_iou"} <= set(lines[0])
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"found" in events.read_bytes() and b"truth" in events.read_bytes()
    assert load(tmp_path / "weights").config == load(start).config


def test_data_sets_on_disk_train(start, tmp_path, capfd):
    root = tmp_path / "root"
    for make in (make_mevis, make_video_qa, make_reason_seg):
        make(root)
    out = tmp_path / "out"

    status, said = run_here(
        command("propagation", out, start, data=root, steps=2, accumulate=6), capfd
    )

    assert status == 0, said
    seen = {name for line in logged(out) for name in line}
    assert "iou/mevis" in seen and np.isfinite(logged(out)[-1]["loss"])
    # Among them are questions with answers in words.
    assert load(out / "weights").config.answers and not load(start).config.answers


def test_a_folder_without_data_is_one_clear_line(start, tmp_path, capfd):
    status, said = run_here(command("propagation", tmp_path / "out", start, data=tmp_path), capfd)

    assert status == 2
    assert said.startswith(f"error: {tmp_path}: ")


@pytest.mark.slow
def test_the_loss_falls_in_a_few_steps_of_each_stage(tmp_path):
    short = {"steps": 20, "warmup": 2, "draws.windows": "[4]", "sentences": 3}
    fewer = short | {"accumulate": 1, "draws.scenes": 4}
    first = command("trunks", tmp_path, "", only="[trunks,encoder]", **fewer)
    assert main([c for c in first if not c.startswith("draws.windows")]) == 0
    out = tmp_path / "alignment"
    assert main(command("alignment", out, tmp_path / "encoder" / "weights", **short)) == 0

    for folder in (tmp_path / "trunks", tmp_path / "encoder", out):
        loss = [line["loss"] for line in logged(folder)]
        assert np.mean(loss[-5:]) < 0.9 * np.mean(loss[:5]), folder.name


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_twice_the_batches(start, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"

    assert main(command("propagation", one, start, steps=4, accumulate=4)) == 0
    status, said = run(command("propagation", two, start, steps=4, accumulate=2), processes=2)

    assert status == 0, said
    for alone, shared in zip(logged(one), logged(two), strict=True):
        assert shared["loss"] == pytest.approx(alone["loss"], abs=1e-5)
