"""What no program can use ends each of them in one line on stderr and exit status 2."""

import importlib
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

from PIL import Image
import pytest
from streams import noise_frames
import torch

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {
    "ask": "virst_model.offline.ask",
    "segment": "virst_model.offline.segment",
    "evaluate": "virst_model.evaluate.__main__",
    "evaluate a data set": "virst_model.evaluate.__main__",
    "tables": "virst_model.evaluate.tables",
    "train": "virst_model.train.__main__",
    "bench": "virst_model.bench.__main__",
    "checkpoints": "virst_model.checkpoints.importer",
    "data": "virst_model.data.__main__",
}
# Arguments with which each would work; what a row adds is stronger.
MODEL = "--model {tmp}/weights --device cpu"
WORKING = {
    "ask": f"{{tmp}}/a.png --question what? --max-new-tokens 2 {MODEL}",
    "segment": f"{{tmp}}/a.png --query it --out {{tmp}}/out {MODEL}",
    "evaluate": f"--videos 1 --frames 4 --out {{tmp}}/out {MODEL}",
    "evaluate a data set": f"--dataset mevis --out {{tmp}}/out {MODEL}",
    "tables": f"5 --videos 1 --out {{tmp}}/out {MODEL}",
    "train": "propagation preset=tiny start={tmp}/weights out={tmp}/out steps=1 accumulate=1 "
    "draws.windows=4 threads=1 picture_every=0",
    "bench": f"--frames 2 --mode offline {MODEL}",
    "checkpoints": "",
    "data": "",
}
FOLLOWS = "synthetic --out {tmp}/new --split train --n 1 --frames 4"
IMPORT = "import --virst {tmp}/text.mp4 --videochat {tmp}/weights --out {tmp}/new"

OF_EVERY_MODEL = [
    ("--model {tmp}/nowhere", "nowhere: no such folder"),
    ("--model {tmp}/text.mp4", "text.mp4: is not a folder"),
    ("--model {tmp}/empty", "config.json: no such file"),
    ("--model {tmp}/cut", "model.safetensors: is damaged or incomplete"),
    ("--model {tmp}/no_json", "config.json: is not JSON"),
    ("--model {tmp}/list", "config.json: holds a JSON list"),
    ("--model {tmp}/number", "config.json: umt is 5, must be an object of its fields"),
    ("--model {tmp}/words", "config.json: umt.dim is 'many', must be a whole number"),
    ("--model {tmp}/below_0", "config.json: umt.dim is -3, must be 1 to 131072"),
    ("--model {tmp}/no_head", "config.json: umt.heads is 0, must be 1 to 256"),
    ("--model {tmp}/narrow", "config.json: its sizes do not fit together"),
    ("--model {tmp}/anchors", "anchors is 'nowhere'; known are dynamic"),
    ("--model {tmp}/alpha", "behaviour.alpha is 99, must be 1 to 8"),
    ("--model {tmp}/tokens", "tokenizer.json"),
    ("--device warp9", "--device warp9: "),
    ("--device cuda:99", "--device cuda:99: "),
    ("--device meta", "--device meta: "),
    ("--dtype int8", "argument --dtype: invalid choice: 'int8'"),
    ("--seed text", "argument --seed: 'text' is not a whole number"),
    ("--seed -1", "argument --seed: -1 must be 0 to 2147483647"),
    ("--sead 1", "unrecognized arguments: --sead 1"),
]
OF_EVERY_VIDEO = [
    ("{tmp}/missing.mp4", "missing.mp4: no such file or folder"),
    ("{tmp}/empty", "empty: holds no images"),
    ("{tmp}/broken.png", "broken.png: holds no frame that can be read"),
    ("{tmp}/text.mp4", "text.mp4: is not a video that can be read"),
    ("{tmp}/damaged.mp4", "damaged.mp4: is not a video that can be read"),
]
ROWS = {
    "ask": [
        ("--question=", "--question: a question without words"),
        ("--question=\udcff?", "argument --question: character 1 of '\\udcff?' is a byte that is"),
        ("--max-new-tokens 0", "argument --max-new-tokens: 0 must be at least 1"),
        ("--max-new-tokens 99999", "exceed the language model's"),
        *OF_EVERY_MODEL,
    ],
    "segment": [
        ("--query=", "--query: a query without words"),
        (
            "--query=caf\udce9",
            "argument --query: character 4 of 'caf\\udce9' is a byte that is not",
        ),
        ("--out {tmp}/text.mp4", "text.mp4/it: cannot be made"),
        ("--out {tmp}/text.mp4/deeper", "cannot be made (Not a directory)"),
        *OF_EVERY_MODEL,
    ],
    "evaluate": [
        ("--root {tmp}", "--root: of which --dataset?"),
        ("--protocol lisa", "--protocol: of which --dataset?"),
        ("--cases 3", "--cases: of which --dataset?"),
        ("--stories 1 --annotators 4", "--annotators: of which --dataset?"),
        ("--annotators 3", "argument --annotators: invalid choice: 3"),
        ("--annotators -1", "argument --annotators: invalid choice: -1"),
        ("--split validation", "--split: 'validation' is none of train, valid, test"),
        ("--stories 1 --split validation", "--split: 'validation' is none of train, valid, test"),
        ("--mode live", "argument --mode: invalid choice: 'live'"),
        ("--threads 0", "argument --threads: 0 must be 1 to 1024"),
        ("--threads 9999999999", "argument --threads: 9999999999 must be 1 to 1024"),
        ("--videos 0", "argument --videos: 0 must be at least 1"),
        ("--stories -3", "argument --stories: -3 must be at least 1"),
        ("--frames 0", "argument --frames: 0 must be at least 1"),
        ("--frames 2 --fps 100", "--frames: 2 at 100 a second are under 0.1 s"),
        ("--fps 0", "argument --fps: 0 must be a number above 0"),
        ("--fps -6", "argument --fps: -6 must be a number above 0"),
        ("--fps nan", "argument --fps: nan must be a number above 0"),
        ("--fps inf", "argument --fps: inf must be a number above 0"),
        ("--fps often", "argument --fps: 'often' is not a number"),
        ("--height 0", "argument --height: 0 must be at least 16"),
        ("--width -320", "argument --width: -320 must be at least 16"),
        ("--delay -1", "argument --delay: -1 must be at least 0"),
        ("--cases -1", "argument --cases: -1 must be at least 0"),
        ("--out {tmp}/text.mp4", "--out: {tmp}/text.mp4 cannot be written (File exists)"),
        ("--stories 1 --out {tmp}/text.mp4/deeper", "cannot be written (Not a directory)"),
        *OF_EVERY_MODEL,
    ],
    "evaluate a data set": [
        ("", "--root: where is mevis?"),
        ("--dataset mewis --root {tmp}", "argument --dataset: invalid choice: 'mewis'"),
        ("--root {tmp}/nowhere", "nowhere: no mevis here"),
        ("--root {tmp} --split test", "mevis has no split 'test'"),
        ("--root {tmp} --annotators 4", "--annotators: mevis has not 4"),
        ("--root {tmp} --stories 3", "--stories: leave it out, or --dataset"),
        ("--root {tmp} --videos 3", "--videos: leave it out, or --dataset"),
        ("--root {tmp} --height 64", "--height: leave it out, or --dataset"),
    ],
    "tables": [
        ("--threads 0", "argument --threads: 0 must be 1 to 1024"),
        ("--model {tmp}/nowhere", "nowhere: no such folder"),
        ("--device warp9", "--device warp9: "),
        ("--root {tmp}", "--root: of which --dataset?"),
        ("--split nope", "--split: 'nope' is none of train, valid, test"),
        ("--kinds nope", "--kinds: 'nope' is none of attribute, relation"),
        ("--kinds motion,", "--kinds: '' is none of attribute, relation"),
        ("--kinds time", "--kinds: no sentence of time in 1 stories"),
        ("--trained {tmp}", "--trained: only Table 8 is of a training that was run"),
        ("--steps 3", "--steps: nothing of Table 5 is trained; leave it out"),
        ("--preset tiny", "--preset: nothing of Table 5 is trained"),
        ("--train-data synthetic", "--train-data: nothing of Table 5 is trained"),
        ("--second-fusion mlp", "--second-fusion mlp: these weights have attention"),
        ("--dataset mevis --root {tmp} --kinds motion", "--kinds: are those of stories, not of"),
    ],
    "train": [
        ("steps=0", "steps is 0, not at least 1"),
        ("steps=many", "steps is 'many', not a int"),
        ("seed=-1", "seed is -1, not at least 0"),
        ("threads=0", "threads is 0, not at least 1"),
        ("threads=99999999", "threads is 99999999, not 1 to 1024"),
        ("log_every=0", "log_every is 0, not at least 1"),
        ("lr=-1", "lr is -1, not at least 0"),
        ("betas=0.9", "betas is (0.9,), not two"),
        ("trains=[]", "trains is empty"),
        ("trains=nothing", "no parameter is called nothing"),
        ("draws.windows=3", "draws.windows is 3; give multiples of 4"),
        ("trains=", "trains is empty"),
        ("draws.windows=[]", "draws.windows is empty; give multiples of 4"),
        ("draws.windows=", "draws.windows is empty; give multiples of 4"),
        ("draws.windows=4,[8", "windows is '4,[8', not a list as a,b"),
        ("draws.windows=4,!!int", "windows is '4,!!int', not a list as a,b"),
        ("draws.windows=[[4]]", "windows is [4], not a int"),
        ("draws.anchors=0", "anchors is 0, not at least 1"),
        ("draws=5", "draws is 5, not a WindowDraws"),
        ("preset=8b", "no stage propagation (8b)"),
        ("only=first", "only is 'first'; known are propagation"),
        ("sets=own", "sets and ratios belong to data=ROOT"),
        ("data={tmp} ratios.own=much", "ratios.own is 'much', not a number"),
        ("data={tmp} sets=owm", "no data set is called owm"),
        ("data={tmp} sets=own", "no own here: it would lie in own"),
        ("data={tmp}", "no data set has a record to train on"),
        ("data={tmp}/nowhere", "nowhere: no such folder"),
        ("start={tmp}/nowhere", "nowhere: no such folder"),
        ("start={tmp}/cut", "model.safetensors: is damaged or incomplete"),
        ("start={tmp}/nowhere.pt", "nowhere.pt cannot be read"),
        ("out={tmp}/text.mp4", "out: {tmp}/text.mp4 cannot be written (File exists)"),
        ("learning_rate=1", "unknown key 'learning_rate'"),
        ("steps", "steps: is not key=value"),
    ],
    "bench": [
        ("--frames 0", "argument --frames: 0 must be at least 1"),
        ("--rate 0", "argument --rate: 0 must be a number above 0"),
        ("--threads 0", "argument --threads: 0 must be 1 to 1024"),
        ("--size 640", "argument --size: '640' must be WIDTHxHEIGHT"),
        ("--size 0x480", "argument --size: 0x480 must be 1x1 or larger"),
        ("--queries 0,17", "argument --queries: '0,17' is not a list of 1..16"),
        ("--growth-frames 0", "argument --growth-frames: 0 must be at least 1"),
        ("--json {tmp}/text.mp4/a.json", "--json: {tmp}/text.mp4 cannot be written"),
        ("--growth {tmp}/text.mp4", "--growth: {tmp}/text.mp4 cannot be written"),
        ("--preset 7b", "--preset 7b: needs --random-weights"),
        ("--random-weights --device meta", "--device meta: "),
        *OF_EVERY_MODEL,
    ],
    "checkpoints": [
        ("", "the following arguments are required: command"),
        ("look", "argument command: invalid choice: 'look'"),
        ("inspect {tmp}/nowhere.pt", "nowhere.pt: no such file"),
        ("inspect {tmp}/empty", "model.safetensors: no such file"),
        ("inspect {tmp}/a.png", "a.png: "),
        ("inspect {tmp}/cut", "model.safetensors: is damaged or incomplete"),
        (IMPORT, "text.mp4: "),
        (f"{IMPORT} --dtype int8", "argument --dtype: invalid choice: 'int8'"),
    ],
    "data": [
        ("", "the following arguments are required: COMMAND"),
        ("check {tmp}/nowhere", "nowhere: no such folder"),
        ("check {tmp}/a.png", "a.png: no such folder"),
        (f"{FOLLOWS} --n 0", "argument --n: 0 must be at least 1"),
        (f"{FOLLOWS} --seed -1", "argument --seed: -1 must be 0 to 99999999"),
        (f"{FOLLOWS} --size 4x4", "argument --size: 4x4 must be 16x16 or larger"),
        (f"{FOLLOWS} --size big", "argument --size: 'big' must be WIDTHxHEIGHT"),
        (f"{FOLLOWS} --split all", "argument --split: invalid choice: 'all'"),
        (f"{FOLLOWS} --fps 1000", "--frames: 4 at 1000 a second are under 0.1 s"),
        (f"{FOLLOWS} --out {{tmp}}/text.mp4", "text.mp4/train: cannot be written"),
    ],
}
TABLE = [(program, more, said) for program, rows in ROWS.items() for more, said in rows]
CHANGED = {
    "no_json": lambda config: "{",
    "list": lambda config: "[]",
    "number": lambda config: json.dumps(config | {"umt": 5}),
    "words": lambda config: json.dumps(config | {"umt": config["umt"] | {"dim": "many"}}),
    "below_0": lambda config: json.dumps(config | {"umt": config["umt"] | {"dim": -3}}),
    "no_head": lambda config: json.dumps(config | {"umt": config["umt"] | {"heads": 0}}),
    "narrow": lambda config: json.dumps(config | {"fusion": config["fusion"] | {"heads": 7}}),
    "anchors": lambda config: _behaving(config, anchors="nowhere"),
    "alpha": lambda config: _behaving(config, alpha=99),
    "mlp": lambda config: json.dumps(config | {"fusion": config["fusion"] | {"second": "mlp"}}),
}


def _behaving(config: dict, **switches: object) -> str:
    return json.dumps(config | {"behaviour": config["behaviour"] | switches})


@pytest.fixture(scope="module")
def places(tmp_path_factory, weights) -> Path:
    """A folder of good and of bad things."""
    folder = tmp_path_factory.mktemp("places")
    for name in ("weights", "cut", "tokens", *CHANGED):
        shutil.copytree(weights, folder / name)
    whole = (folder / "cut" / "model.safetensors").read_bytes()
    (folder / "cut" / "model.safetensors").write_bytes(whole[:2000])
    (folder / "tokens" / "tokenizer.json").write_text("no tokenizer")
    # These answer in words, so that `ask` gets as far as what is wrong.
    config = json.loads((weights / "config.json").read_text()) | {"answers": True}
    (folder / "weights" / "config.json").write_text(json.dumps(config))
    for name, change in CHANGED.items():
        (folder / name / "config.json").write_text(change(config))
    (folder / "empty").mkdir()
    Image.fromarray(noise_frames(1)[0]).save(folder / "a.png")
    (folder / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "text.mp4").write_text("not a video " * 100)
    (folder / "damaged.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(500))
    return folder


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def outcome(program: str, arguments: list[str], capsys) -> tuple[int, str]:
    """Exit status and what was said on stderr, less a bar that was wiped away."""
    status = importlib.import_module(PROGRAMS[program]).main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    return status, captured.err.rpartition("\r")[2]


def is_refused(program: str, arguments: str, said: str, places: Path, capsys) -> None:
    words = arguments.replace("{tmp}", str(places)).split()
    status, line = outcome(program, words, capsys)

    assert status == 2
    assert line.startswith("error: ") and line.endswith("\n") and line.count("\n") == 1, line
    assert said.replace("{tmp}", str(places)) in line


@pytest.mark.parametrize(("program", "more", "said"), TABLE)
def test_wrong_input_is_one_line_and_exit_status_2(program, more, said, places, capsys):
    is_refused(program, f"{WORKING[program]} {more}", said, places, capsys)


@pytest.mark.parametrize(
    "more", ["--initial-fusion on", "--initial-fusion off", "--second-fusion attention"]
)
def test_a_fusion_beside_the_rows_of_table_4_is_one_line(more, places, capsys):
    words = WORKING["tables"].replace("5", "4", 1)
    said = f"{more.split()[0]}: the rows of Table 4 have fusions of their own"
    is_refused("tables", f"{words} {more}", said, places, capsys)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("9 --second-fusion mlp", "--second-fusion mlp: these weights have attention"),
        ("8 --trained {tmp}/run --steps 3", "--steps: what --trained names was trained"),
        ("8 --trained {tmp}/nowhere", "nowhere/trunks/tracking/weights: no such folder"),
        (
            "4 --start {tmp}/mlp",
            "--start: Table 4 starts from a second fusion of attention, not mlp",
        ),
    ],
)
def test_a_table_that_cannot_be_trained_is_refused_before_anything_is(
    more, said, places, capsys, monkeypatch
):
    monkeypatch.setattr("virst_model.evaluate.slots.subprocess.run", None)  # would train
    number, _, options = more.partition(" ")
    words = WORKING["tables"].replace("5", number, 1)
    is_refused("tables", f"{words} {options}", said, places, capsys)


@pytest.mark.parametrize(("video", "said"), OF_EVERY_VIDEO)
@pytest.mark.parametrize("program", ["ask", "segment"])
def test_what_is_no_video_is_one_line_and_exit_status_2(program, video, said, places, capsys):
    _, _, options = WORKING[program].partition(" ")
    is_refused(program, f"{video} {options}", said, places, capsys)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read (No such file"), (b"stage: [", "parsing"), (b"\xff\xfe", "decode")],
)
def test_a_stage_that_cannot_be_read_is_one_line(content, said, places, tmp_path, capsys):
    path = tmp_path / "stage.yaml"
    if content is not None:
        path.write_bytes(content)
    is_refused("train", str(path), f"error: {path}: ", places, capsys)
    is_refused("train", str(path), said, places, capsys)


@pytest.mark.parametrize("program", ["ask", "segment", "evaluate", "bench"])
def test_the_arguments_that_are_made_wrong_are_right_themselves(program, places, capsys):
    """Or every row of the table might fail of another reason; `train` and `data` have tests."""
    words = WORKING[program].replace("{tmp}", str(places)).split()
    assert importlib.import_module(PROGRAMS[program]).main(words) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
@pytest.mark.parametrize(
    ("program", "more", "said"),
    [
        ("segment", "--out {tmp}/locked", "Permission denied"),
        ("evaluate", "--out {tmp}/locked", "Permission denied"),
        ("segment", "--model {tmp}/locked", "Permission denied"),
        ("train", "out={tmp}/locked", "Permission denied"),
    ],
)
def test_without_permission_it_is_one_line(program, more, said, places, capsys):
    (places / "locked").mkdir(mode=0, exist_ok=True)
    is_refused(program, f"{WORKING[program]} {more}", said, places, capsys)


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_file_that_the_system_refuses_is_one_line_in_every_program(program, monkeypatch, capsys):
    def refuse(*arguments, **named):
        raise PermissionError(13, "Permission denied", "/a/file")

    module = importlib.import_module(PROGRAMS[program])
    inner = next(name for name in ("Parser", "_parser") if hasattr(module, name))
    monkeypatch.setattr(module, inner, refuse)

    assert outcome(program, [], capsys) == (2, "error: /a/file: Permission denied\n")


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fault(*arguments, **named):
        raise ZeroDivisionError("ours")

    module = importlib.import_module("virst_model.offline.ask")
    monkeypatch.setattr(module, "Parser", fault)
    with pytest.raises(ZeroDivisionError):
        module.main([])


@pytest.mark.parametrize("verb", ["data", "evaluate"])
def test_the_process_ends_with_the_status_of_its_program(verb):
    command = [sys.executable, "-m", "virst_model", verb, "--nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
