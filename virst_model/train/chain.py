"""Stages one after the other: what each is trained from, and where it goes."""

from collections.abc import Sequence
import dataclasses
from pathlib import Path

from virst_model.train.settings import Run, SettingsError, read_settings, starts_pointing
from virst_model.train.stage import Stage
from virst_model.train.stages import STAGES


def read_chain(recipes: Sequence[str], changes: Sequence[str] = ()) -> list[tuple[Run, Stage]]:
    """Every stage of some recipes, in order, each with a run of its own.

    The first starts as its settings say, every other from the weights of the one before. A
    recipe of several stages gives each a folder in its `out` and a seed of its own. Where `out`
    is changed and there are several recipes, each has a folder in it, named after its stage.

    Args:
        recipes, changes: as for `read_settings`; the changes are of all recipes.

    Raises:
        SettingsError: as `read_settings`; or two stages would share a folder, or not agree on
            `precision`, which is that of the whole program.
    """
    chain: list[tuple[Run, Stage]] = []
    below = len(recipes) > 1 and any(change.startswith("out=") for change in changes)
    for recipe in recipes:
        run, stages = read_settings(recipe, changes, _points(chain))
        out = Path(run.out, run.stage) if below else Path(run.out)
        names = [stage.name for stage in STAGES[run.stage, run.preset]]
        for stage in stages:
            number = names.index(stage.name)
            folder = out / stage.name if len(names) > 1 else out
            start = str(weights_of(chain[-1][0])) if chain else run.start
            seed = run.seed + number
            chain.append(
                (dataclasses.replace(run, start=start, out=str(folder), seed=seed), stage)
            )
    _check(chain)
    return chain


def _points(chain: Sequence[tuple[Run, Stage]]) -> bool | None:
    """Whether the weights that a chain leaves will point; None where it has not begun."""
    if not chain:
        return None
    return starts_pointing(*chain[0]) or any(stage.build.pointing for _, stage in chain)


def weights_of(run: Run) -> Path:
    """The folder of weights that a finished run leaves."""
    return Path(run.out) / "weights"


def _check(chain: Sequence[tuple[Run, Stage]]) -> None:
    first, stages_by_folder = chain[0][0], {}
    for run, stage in chain:
        other = stages_by_folder.setdefault(run.out, stage)
        if other is not stage:
            raise SettingsError(
                f"out: {other.name} and {stage.name} would both go to {run.out}; give each an out"
            )
        if run.precision != first.precision:
            raise SettingsError(
                f"precision: {run.precision} after {first.precision}; say precision= for all"
            )
