"""The paper's stages of a model that is made to point: random weights in the 7B model's layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from released_files import small_config
from streams import noise_frames, show_object
import torch
from training import command, logged

from virst_model.checkpoints.load import build, empty, load, save
from virst_model.config import VirstConfig, full
from virst_model.data.sample import IMAGE, SEGMENTS, Sample
from virst_model.model.prompt import IGNORE
from virst_model.model.virst import Virst
from virst_model.train.__main__ import main
from virst_model.train.batches import Batch
from virst_model.train.chain import read_chain
from virst_model.train.criterion import criterion
from virst_model.train.forward import predict
from virst_model.train.settings import Run, SettingsError, read_settings
from virst_model.train.stage import Build, Stage, WindowDraws
from virst_model.train.stages import STAGES
from virst_model.train.synthetic import SyntheticSamples
from virst_model.train.trainee import Trainee, make_trainee
from virst_model.train.windows import WindowBatches

NAMES = ("alignment", "few_image", "propagation")
POINTS = "build.pointing=true"
TERMS = {"point", "place", "shown"}


def layout() -> VirstConfig:
    """The full model's structure as the tests of the import have it, before smaller pictures."""
    config = small_config(vocab=1024)
    return replace(
        config,
        umt=replace(config.umt, side=112),
        segmenter=replace(config.segmenter, side=128, embed_dim=8, dim=64),
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    model = build(layout(), seed=1)
    show_object(model)
    folder = tmp_path_factory.mktemp("start")
    save(model, folder, torch.float32)
    return folder


def stage_of(name: str, *changes: str) -> Stage:
    (stage,) = read_settings(name, ["preset=7b", *changes])[1]
    return stage


def trainee_of(start: Path, *changes: str, name: str = "alignment", **given) -> Trainee:
    return make_trainee(Run(name, "7b", start=str(start)), stage_of(name, *changes), **given)


def batch_of(model: Virst, number: int = 0, in_words: float = 0.0, **draws):
    """A batch of a synthetic window of 8 frames."""
    source = SyntheticSamples(seed=1, in_words=in_words)
    return WindowBatches(source, model, WindowDraws((8,), **draws), seed=0).draw(number)


@torch.inference_mode()
def masks(model: Virst) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of a window, and the mask logits of its first frame."""
    images = noise_frames(8)
    pixels = [model.clip_pixels(image) for image in images]
    clips = [model.encode_clip(pixels[i : i + 4]) for i in (0, 4)]
    features = [model.encode_frame(image) for image in images[::4]]
    prompts_TNC = model.ground(clips, features, "the red circle", fused=[0, 4])
    return prompts_TNC, model.decode_anchor(features[0], prompts_TNC[0]).raw_logits


# What is asked.


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_of_the_paper_knows_nothing_of_pointing_until_it_is_asked(name):
    own, asked = stage_of(name), stage_of(name, POINTS, "build.pairs=16")

    assert own == STAGES[name, "7b"][0]
    assert own.build == Build() and not own.objective.point
    assert not any("pointing" in pattern for pattern in own.trains)
    assert asked.trains == (*own.trains, "pointing.*")
    assert asked.objective == replace(own.objective, point=1.0)
    assert asked.build == Build(pointing=True, pairs=16)
    kept = {"trains": own.trains, "objective": own.objective, "build": own.build}
    assert replace(asked, **kept) == own


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_point_are_trained_to_point_on(name, tmp_path):
    """What moves [ST] and nothing that it points by would have it point elsewhere."""
    of_package = stage_of(name, "preset=tiny", "start=")
    (tmp_path / "config.json").write_text('{"pointing": true}')
    of_folder = stage_of(name, f"start={tmp_path}")

    for stage in (of_package, of_folder):
        assert "pointing.*" in stage.trains or "*" in stage.trains
        assert stage.objective.point == 1.0 and not stage.build.pointing
    (tmp_path / "config.json").write_text('{"pointing": false}')
    assert not stage_of(name, f"start={tmp_path}").objective.point
    assert not stage_of(name, "preset=tiny", "start=", "build.pointing=false").objective.point
    assert stage_of(name, "preset=tiny", "start=", "objective.point=0.2").objective.point == 0.2


def test_stages_after_one_that_points_point_on():
    chain = read_chain(["alignment", "propagation"], ["preset=tiny", "start=", "out=somewhere"])
    assert [stage.objective.point for _, stage in chain] == [1.0, 1.0]
    asked = read_chain(["pointing", "propagation"], ["preset=tiny", "out=somewhere"])
    assert asked[-1][1].objective.point == 1.0


def test_a_chain_that_begins_with_nothing_has_no_pointer_to_train():
    chain = read_chain(["trunks", "alignment"], ["preset=tiny", "start=", "out=somewhere"])
    assert not any(stage.objective.point for _, stage in chain)


def test_encoders_learn_nothing_of_pointing_from_weights_that_do():
    for before, after in zip(STAGES["eyes", "tiny"], read_settings("eyes")[1], strict=True):
        assert after == before


def test_what_is_said_is_stronger_than_what_pointing_brings():
    asked = stage_of("alignment", POINTS, "objective.point=0.3", "trains=[pointing.query.*]")

    assert (asked.objective.point, asked.trains) == (0.3, ("pointing.query.*",))


def test_windows_that_are_kept_are_long_enough_not_to_be_filled_up():
    with pytest.raises(SettingsError, match=r"draws\.windows has 4; .* give 8 or more"):
        read_settings("pointing", ["only=[point]", "draws.windows=[4,16]"])

    read_settings("pointing", ["only=[follow]", "draws.windows=[4,16]"])


def test_a_stage_that_says_what_of_pointing_trains_is_left_as_it_is():
    own = STAGES["pointing", "tiny"]
    asked = read_settings("pointing", [POINTS])[1]

    for before, after in zip(own[:2], asked, strict=False):
        assert (after.trains, after.objective) == (before.trains, before.objective)


def test_a_stage_that_asks_where_is_refused_by_a_model_that_does_not_point(start):
    with pytest.raises(SettingsError, match=r"objective.point is 0.5.*build.pointing=true") as one:
        trainee_of(start, "objective.point=0.5")
    assert "\n" not in str(one.value)


# What is made.


@pytest.mark.slow
def test_at_full_size_pointing_is_all_that_trains_more():
    config, tokenizer = full(), load().tokenizer
    with torch.device("meta"):
        own = Trainee(empty(config, tokenizer), None, stage_of("alignment"))
        pointing = empty(replace(config, pointing=True), tokenizer)
        more = Trainee(pointing, None, stage_of("alignment", POINTS))

    names = set(more.trained()) - set(own.trained())
    assert set(own.trained()) <= set(more.trained())
    assert names == {f"model.pointing.{name}" for name, _ in pointing.pointing.named_parameters()}
    assert sum(more.trained()[name].numel() for name in names) == 200_387_086


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_that_is_not_asked_changes_nothing_of_the_model(name, start):
    before, trainee = load(start), trainee_of(start, name=name)
    assert trainee.model.pointing is None

    after = trainee.merge()

    assert after.config == before.config
    assert after.state_dict().keys() == before.state_dict().keys()
    for was, now in zip(masks(before), masks(after), strict=True):
        assert torch.equal(was, now)


def test_masks_are_what_they_were_where_pointing_is_new(start):
    trainee = trainee_of(start, POINTS)
    for name in ("place", "clip", "to_queries", "to_memory", "to_prompt"):
        assert not any(p.any() for p in getattr(trainee.model.pointing, name).parameters()), name

    before, after = load(start), trainee.merge()

    assert after.config == replace(before.config, pointing=True)
    for was, now in zip(masks(before), masks(after), strict=True):
        assert torch.equal(was, now)


def test_what_is_there_is_not_copied_from_its_file_where_pointing_is_new(start):
    model = trainee_of(start, POINTS, dtype=torch.float32).model

    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    own = [line[0].split("-") for line in maps if line[-1] == str(start / "model.safetensors")]
    spans = [range(int(first, 16), int(last, 16)) for first, last in own]
    held = [*model.segmenter.named_parameters(), *model.vlm.umt.named_parameters()]
    assert len(held) > 100
    assert [n for n, p in held if not any(p.data_ptr() in span for span in spans)] == []


# What is learned.


@pytest.mark.parametrize("name", NAMES)
def test_all_of_pointing_has_a_gradient_after_one_step(name, start):
    trainee = trainee_of(start, POINTS, name=name)
    for number in range(2):
        propagation = trainee.stage.draws.propagation
        loss, terms, _ = trainee(batch_of(trainee.model, number, propagation=propagation))
        loss.backward()

    assert terms.keys() >= {*TERMS, "ce", "bce", "dice", "iou", "occ"}
    parameters = dict(trainee.model.pointing.named_parameters())
    assert [n for n, p in parameters.items() if p.grad is None or not p.grad.any()] == []


def test_pointing_trains_in_half_precision(start):
    trainee = trainee_of(start, POINTS, dtype=torch.bfloat16)

    with torch.autocast("cpu", torch.bfloat16):
        loss, terms, _ = trainee(batch_of(trainee.model))
    loss.backward()

    assert loss.isfinite() and terms.keys() >= TERMS
    assert {p.dtype for p in trainee.model.pointing.parameters()} == {torch.float32}
    assert trainee.model.pointing.query.weight.grad.any()


def off(batch: Batch, places_BKT2: torch.Tensor) -> float:
    """How far places are from the middles of the masks in the clips' frames, on average, 0..1."""
    side, frames = batch.truth.shape[-1], batch.frames.clip_frames
    away = []
    for b, k, t in np.ndindex(*places_BKT2.shape[:3]):
        rows, columns = batch.truth[b, frames[k][t]].nonzero(as_tuple=True)
        if len(rows):
            middle = torch.tensor([rows.float().mean(), columns.float().mean()]) / side
            away.append(float((places_BKT2[b, k, t] - middle).norm()))
    return float(np.mean(away))


@pytest.mark.slow
def test_the_target_of_a_window_is_found_in_its_masks(start):
    """Of one window, again and again: [ST] comes to point at it."""
    trainee = trainee_of(start, POINTS, "checkpointing=false")
    batch = batch_of(trainee.model)
    batch = replace(batch, frames=replace(batch.frames, anchors=[]))
    optimizer = torch.optim.AdamW(trainee.model.pointing.parameters(), lr=1e-3)
    costs = []
    for _ in range(20):
        prediction = predict(trainee.model, batch, trainee.stage.objective)
        terms = criterion(prediction, batch, trainee.stage.objective).all
        places = prediction.pointed.pointed.places.detach()
        costs.append({name: terms[name].item() for name in TERMS} | {"off": off(batch, places)})
        optimizer.zero_grad()
        sum(terms[name] for name in TERMS).backward()
        optimizer.step()

    first, last = costs[0], costs[-1]
    assert last["point"] < 0.6 * first["point"] and last["shown"] < first["shown"]
    assert last["place"] < 0.5 * first["place"] and last["off"] < 0.5 * first["off"]


def test_of_an_image_the_one_place_is_learned(start):
    trainee = trainee_of(start, POINTS)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)

    class Images:
        def draw(self, number, frames, spacing):
            assert spacing == SEGMENTS
            mask = np.zeros((1, 1, 40, 60), bool)
            mask[..., :20, :20] = True
            return Sample("refcoco", "1", [picture], (0,), ("the cup",), mask, None, IMAGE)

    batch = WindowBatches(Images(), trainee.model, WindowDraws((8,)), seed=0).draw(0)
    loss, terms, _ = trainee(batch)
    loss.backward()

    assert loss.isfinite() and terms.keys() >= TERMS
    last = trainee.model.pointing.frame[-1].bias.grad.view(4, 3)
    assert last[0].all() and not last[1:].any()


def test_an_answer_in_words_is_learned_from_the_tokens_that_it_is_asked_of(start):
    trainee = trainee_of(start, POINTS)
    model = trainee.eval().model
    torch.nn.init.normal_(model.pointing.place.weight)
    torch.nn.init.normal_(model.pointing.clip.weight)
    batch = batch_of(model, in_words=1.0)

    with torch.no_grad():
        logits, _ = predict(model, batch, trainee.stage.objective).tokens
        clips = [model.encode_clip(list(clip)) for clip in batch.frames.clips[0]]
        visual = model.join_clips(clips).sequence
        prompts = [
            model.prompter.tell(text, answer)
            for text, answer in zip(batch.sentences.texts, batch.sentences.answers, strict=True)
        ]
        hidden, labels = model.word_states([visual] * len(prompts), prompts)
        labels[:, : prompts[0].image_at + len(visual) + 1] = IGNORE  # what no question changes
        asked = model.vlm.logits(hidden[:, :-1][labels[:, 1:] >= 0])

    torch.testing.assert_close(logits, asked)


# A whole run.


def test_a_run_of_the_papers_stage_leaves_a_model_that_points(start, tmp_path):
    asked = {"build.pointing": "true", "build.pairs": 16, "build.answers": "true"}
    small = {"preset": "7b", "steps": 2, "accumulate": 1, "draws.anchors": 1}
    small |= {"draws.windows": "8", "threads": 1}

    assert main(command("alignment", tmp_path, start, **small | asked)) == 0

    lines = logged(tmp_path)
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert any(line.keys() >= TERMS for line in lines)  # others may be of answers in words
    model = load(tmp_path / "weights")
    assert model.config.pointing and model.config.tome.pairs == 16 and model.config.answers
    for name in ("place", "clip", "to_queries", "to_memory", "to_prompt"):
        assert any(p.any() for p in getattr(model.pointing, name).parameters()), name
