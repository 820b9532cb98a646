"""From own footage to a model that runs, and docs/finetune.md as it stands."""

from pathlib import Path
import re
import shlex

import cv2
from miniatures import make_own
import pytest
from streams import noise_frames, session
import torch
from training import command

from virst_model import load
from virst_model.__main__ import main as virst
from virst_model.answer import Query
from virst_model.offline import segment
from virst_model.synthetic.scenes import make_scene
from virst_model.train.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "finetune.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_own_footage_is_trained_on_without_a_ratio_and_the_weights_run(weights, tmp_path, capsys):
    make_own(tmp_path)
    trained = tmp_path / "out" / "weights"

    status = main(command("propagation", tmp_path / "out", weights, data=tmp_path, steps=2))

    assert status == 0
    assert f"the weights are in {trained}" in capsys.readouterr().out
    before, after = load(weights).state_dict(), load(trained).state_dict()
    assert any(not torch.equal(after[name], tensor) for name, tensor in before.items())
    with session(load(trained)) as stream:
        stream.set_queries((Query(1, "the cup that moves", 1),))
        results = [stream.step(image, float(t)) for t, image in enumerate(noise_frames(8))]
    assert results[-1].results[0].text == "the cup that moves"
    folder = str(tmp_path / "own" / "videos" / "kitchen")
    options = ["--query", "the cup", "--model", str(trained), "--out", str(tmp_path / "masks")]
    assert segment.main([folder, *options]) == 0
    assert len(list((tmp_path / "masks" / "the-cup").iterdir())) == 11


def film(path: Path, seed: int) -> None:
    """A second and a bit of a synthetic scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = make_scene(seed, duration_s=1.2)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    for frame in range(12):
        writer.write(scene.render(frame / 10, 120, 160)[0][..., ::-1])
    writer.release()


def documented() -> list[list[str]]:
    """The words of each command of the page that needs neither ROS nor other data."""
    lines = re.findall(r"^    virst (.+)$", PAGE, re.MULTILINE)
    return [shlex.split(line) for line in lines if "ROOT" not in line]


@pytest.mark.slow
def test_the_commands_of_the_page_work_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("table_1", "table_2")):
        film(Path(f"footage/own/videos/{name}.mp4"), seed)
    Path("footage/own/sentences.csv").write_text(PAGE.split("```csv\n")[1].split("```")[0])
    short = ["steps=1", "accumulate=1", "draws.windows=4", "picture_every=0"]

    ran = []
    for verb, *words in documented():
        ran.append(verb)
        assert virst([verb, *words, *(short if verb == "train" else [])]) == 0, words

    assert ran == ["segment", "segment", "data", "evaluate", "train", "evaluate", "segment"]
    for result in ("before/report.html", "after/report.html", "look/overlay.mp4"):
        assert Path("out", result).is_file(), result


def test_the_table_of_the_page_speaks_of_folders_that_segment_makes():
    table = PAGE.split("```csv\n")[1].split("```")[0].splitlines()[1:]
    queries = re.findall(r'--query "([^"]+)"', PAGE)
    made = set(segment.folder_names(sorted(set(queries))))
    assert {one for row in table for one in row.split(",")[2].split("|") if one} <= made
