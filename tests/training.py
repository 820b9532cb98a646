"""Runs of `virst train` on a model that takes no time."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

from patience import LIMIT_S
from streams import smallest
import torch

from virst_model.checkpoints.load import build, save

ROOT = Path(__file__).resolve().parents[1]
# Of every run here; what a test says is stronger.
SMALL = {
    "preset": "tiny",
    "steps": 6,
    "accumulate": 2,
    "warmup": 2,
    "draws.windows": "[4,8]",
    "sentences": 2,
    "threads": int(os.environ.get("VIRST_THREADS", "1")),
    "log_every": 1,
    "save_every": 2,
    "picture_every": 0,
}


def smallest_weights(folder: Path) -> Path:
    """A folder of random weights of the least size."""
    save(build(smallest()), folder, torch.float32)
    return folder


def command(stage: str, out: Path, start: Path | str, **changes: object) -> list[str]:
    """Arguments of the program for a recipe; a double underscore in a name is a dot."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    said = {**SMALL, "out": out, "start": start, **named}
    return [stage, *(f"{name}={value}" for name, value in said.items())]


def environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    # `accelerate launch --cpu` starts one process; several on a CPU are asked for like this.
    return {**os.environ, **own, "ACCELERATE_USE_CPU": "true"}


def begin_held(arguments: list[str], gate: Path, step: int) -> subprocess.Popen:
    """Starts the program, which waits for the file `gate` once it has logged `step`."""
    script = Path(__file__).with_name("held_training.py")
    return _popen([sys.executable, str(script), str(gate), str(step), *arguments])


def begin(arguments: list[str], processes: int = 1, **popen: object) -> subprocess.Popen:
    """Starts the program on a CPU; several processes find each other at a free port."""
    program = [sys.executable, "-m"]
    if processes > 1:
        program += ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
        program += ["--num_processes", str(processes), "--main_process_port", "0"]
        program += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m"]
    return _popen([*program, "virst_model", "train", *arguments], **popen)


def _popen(command: list[str], **popen: object) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Exit status and the last line of what it said."""
    try:
        _, said = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    return process.returncode, said.replace("\r", "\n").strip().rpartition("\n")[2]


def run(arguments: list[str], **launch: int) -> tuple[int, str]:
    return finish(begin(arguments, **launch))


def logged(out: Path) -> list[dict[str, float]]:
    """The lines of a run's log, without their times."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "s"} for line in lines]


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())
