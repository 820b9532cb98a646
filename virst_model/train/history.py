"""What a folder's run was told, beside its checkpoints: the same goes on, another is told apart.

`out/settings.json` has a key a setting. Runs of before it was written have none: nothing is
compared then.
"""

from collections.abc import Mapping
import dataclasses
import json
from pathlib import Path
from typing import Any

from virst_model.train.schedule import learning_rate
from virst_model.train.settings import Run, SettingsError
from virst_model.train.snapshots import TrainingError, newest, read_progress, unwritable
from virst_model.train.stage import Stage

SETTINGS = "settings.json"
# Of a run, what does not change what is trained; of a stage, its name, which a checkpoint has.
ASIDE = (
    *("out", "resume", "threads", "drawers", "cache", "only", "name"),
    *("save_every", "log_every", "picture_every", "sight_every"),
)

# A setting's name, with dots for parts -> its value as JSON has it.
Told = dict[str, Any]


def check_history(run: Run, stage: Stage) -> str:
    """Whether a folder that holds a run may be gone on with.

    Returns:
        What to say of it: settings that are not those of before, and what becomes of the learning
        rate where the steps are others; or nothing.

    Raises:
        SettingsError: it holds a finished run with other settings, or one of more steps.
        TrainingError: its newest checkpoint or its settings cannot be read.
    """
    out = Path(run.out)
    last = newest(out)
    if last is None or run.resume == "never" or read_progress(last).stage != stage.name:
        return ""  # nothing is there, or what is there is refused when it is opened
    step, before, now = read_progress(last).step, _read(out), _told(run, stage)
    if step > stage.steps:
        raise SettingsError(
            f"{out}: {step} steps are done already; steps is {stage.steps}: give more, or another "
            "out"
        )
    others = [name for name in before if name in now and before[name] != now[name]]
    changed = "; ".join(f"{n} was {before[n]!r}, is {now[n]!r}" for n in others if n != "steps")
    if changed and step >= before["steps"]:
        raise SettingsError(
            f"{out}: holds a finished run with other settings ({changed}); give another out, or "
            "those settings"
        )
    said = [f"{out}: goes on from step {step} with other settings ({changed})"] if changed else []
    if "steps" in others:
        said.append(_stretched(out, stage, step, before["steps"]))
    return "; ".join(said)


def steps_done(out: Path) -> int:
    """The steps of the newest checkpoint; 0 where there is none."""
    last = newest(out)
    return read_progress(last).step if last else 0


def write_history(run: Run, stage: Stage) -> None:
    """Says what the run in `run.out` is told; TrainingError where it cannot be written."""
    path = Path(run.out) / SETTINGS
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(_told(run, stage), indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise unwritable(Path(run.out), error) from None


def _stretched(out: Path, stage: Stage, step: int, before: int) -> str:
    """What becomes of the rate where a run of `before` steps gets others, after `step` of them."""
    shorter = dataclasses.replace(stage, steps=before)
    last, following = learning_rate(shorter, step - 1), learning_rate(stage, step)
    rates = f"the learning rate was {last:.3g} at step {step}, and is {following:.3g} now"
    return f"{out}: {before} steps become {stage.steps}, in one {stage.schedule} schedule: {rates}"


def _told(run: Run, stage: Stage) -> Told:
    values = _flat(dataclasses.asdict(run)) | _flat(dataclasses.asdict(stage))
    told = {name: value for name, value in values.items() if name not in ASIDE}
    return json.loads(json.dumps(told))  # tuples are lists, as in the file


def _flat(values: Mapping[str, Any], before: str = "") -> Told:
    flat: Told = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat


def _read(out: Path) -> Told:
    """Empty where the run did not write it."""
    path = out / SETTINGS
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); delete it to go on") from None
    if not isinstance(before, dict) or not isinstance(before.get("steps"), int):
        raise TrainingError(f"{path}: holds no settings; delete it to go on")
    return before
