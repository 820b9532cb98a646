"""What can be set of a loaded model, by the options of segment and evaluate."""

import argparse
from dataclasses import replace

import pytest
from streams import real_model, smallest

from virst_model.checkpoints.load import build, save
from virst_model.checkpoints.options import add_model_options, add_switches, load_switched
from virst_model.checkpoints.switches import SwitchError, with_fusion
from virst_model.config import behaviour
from virst_model.errors import UsageError
from virst_model.offline import segment


def loaded(folder, *arguments):
    parser = argparse.ArgumentParser()
    add_switches(parser)
    add_model_options(parser)
    return load_switched(
        parser.parse_args(["--model", str(folder), "--device", "cpu", *arguments])
    )


def variant(**fusion):
    config = smallest()
    return replace(config, fusion=replace(config.fusion, **fusion))


def test_options_stand_in_place_of_what_the_weights_say(weights):
    plain, other = loaded(weights), loaded(weights, "--alpha", "5", "--anchors", "uniform3")

    assert (plain.config.behaviour.alpha, plain.config.behaviour.anchors) == (3, "dynamic")
    assert other.config.behaviour == replace(plain.config.behaviour, alpha=5, anchors="uniform3")


def test_the_initial_fusion_can_be_left_out_and_nothing_else_changes(weights):
    model = loaded(weights, "--initial-fusion", "off", "--second-fusion", "attention")
    assert model.config == replace(smallest(), fusion=replace(smallest().fusion, initial=False))


@pytest.mark.parametrize(
    ("fusion", "arguments", "said"),
    [
        ({}, ["--second-fusion", "mlp"], "--second-fusion mlp: these weights have attention"),
        ({"second": "mlp"}, ["--second-fusion", "attention"], "these weights have mlp"),
        ({"initial": False}, ["--initial-fusion", "on"], "--initial-fusion on: .* without it"),
    ],
)
def test_a_fusion_that_the_weights_lack_is_refused(tmp_path, fusion, arguments, said):
    save(build(variant(**fusion)), tmp_path)
    with pytest.raises(UsageError, match=said):
        loaded(tmp_path, *arguments)


def test_the_release_has_an_initial_fusion_that_it_leaves_out():
    config = variant(initial=False)
    model = real_model(replace(config, behaviour=behaviour("released")))
    assert with_fusion(model, initial=True).config.fusion.initial
    with pytest.raises(SwitchError):
        with_fusion(real_model(config), initial=True)


@pytest.mark.parametrize("alpha", ["0", "-1", "three", "9"])
def test_an_alpha_that_no_model_reads_is_one_line(alpha, capsys):
    assert segment.main(["video.mp4", "--query", "it", "--alpha", alpha]) == 2

    said = capsys.readouterr().err
    assert said.startswith("error: argument --alpha: ") and said.count("\n") == 1
