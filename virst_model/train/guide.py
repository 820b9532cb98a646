"""What `train --help` tells beyond the command: stages, and keys with their defaults."""

from collections.abc import Iterator, Sequence
import dataclasses
from dataclasses import MISSING
import inspect
import textwrap

from virst_model.train.settings import Run
from virst_model.train.stage import Build, CachedDraws, Objective, SceneDraws, Stage, WindowDraws
from virst_model.train.stages import STAGES


def guide() -> str:
    """The stages, then the keys of a YAML file and of `key=value`: those of the docstrings."""
    parts = [
        "stages (stage, preset, steps, peak learning rate):",
        *(f"  {line}" for key, stages in STAGES.items() for line in _stages(*key, stages)),
        *_keys("keys of a run", Run),
        *_keys("keys of a stage", Stage),
        *_keys("draws.KEY, on videos and images", WindowDraws),
        *_keys("draws.KEY, of trunks, eyes and follow", SceneDraws),
        *_keys("draws.KEY, of point, masks and words", CachedDraws),
        *_keys("objective.KEY", Objective),
        *_keys("build.KEY", Build),
    ]
    return "\n".join(parts)


def _stages(name: str, preset: str, stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        part = f", only={stage.name}" if len(stages) > 1 else ""
        yield f"{name + part:32} {preset:5} {stage.steps:5} {stage.lr:8g}"


def _keys(title: str, kind: type) -> list[str]:
    """A dataclass as people read it: its docstring's attributes and its defaults."""
    fields = [field for field in dataclasses.fields(kind) if field.default is not MISSING]
    defaults = ", ".join(f"{field.name}={field.default!r}" for field in fields)
    described = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    lines = [line.removeprefix("  ") for line in described.splitlines()]
    wrapped = textwrap.wrap(f"defaults: {defaults}", 94, subsequent_indent="  ")
    return ["", f"{title}:", *lines, *(f"  {line}" for line in wrapped if fields)]
