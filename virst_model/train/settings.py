"""What a run is told: a stage's data, and what a YAML file and `key=value` change of it."""

from collections.abc import Mapping, Sequence
import dataclasses
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
import yaml

from virst_model.arguments import MOST_THREADS
from virst_model.checkpoints.folder import CONFIG_FILE, TINY, read_object
from virst_model.config import LEAST_FRAMES
from virst_model.data.sample import SPACINGS
from virst_model.errors import InputError
from virst_model.train.stage import SCHEDULES, CachedDraws, SceneDraws, Stage, WindowDraws
from virst_model.train.stages import STAGES

RECIPES, YAML = files("virst_model.train") / "recipes", ".yaml"
RESUMES = ("auto", "never")
PRECISIONS = ("auto", "fp32", "bf16")


class SettingsError(InputError):
    """A setting cannot be followed; `str()` is one line."""


@dataclass(frozen=True)
class Run:
    """Where a stage is trained, from what and to where.

    Attributes:
        stage, preset: which of `STAGES`.
        slot: the stage in whose place it is trained, for as many steps, all else being its own
            (Table 9); empty is its own place.
        only: of a stage that is several, the names of those to train; empty is all.
        start: a folder of weights, or a `.pt` of {"model", "heads"}; empty is the packaged model,
            or random weights where the stage trains everything.
        data: "synthetic", or the folder of the data sets.
        photographs: folder of photographs and cut-outs for the camera's world, as
            `virst data photographs` makes it; empty is drawings alone.
        cache: folder for windows whose encoders' work is done once; empty keeps none.
        sets: names of the data sets of `data` to train on; empty is all of the paper's that are
            there, or where none is there, your own footage and synthetic videos.
        ratios: shares of data sets within their category, by name, in place of the catalogue's.
        sentences: most sentences about one video or image.
        out: folder of checkpoints, logs and, in `weights`, the trained model.
        seed: of everything that is drawn.
        resume: "auto" goes on from the newest checkpoint in `out`, if there is one; "never"
            refuses a folder that has one.
        precision: "fp32", "bf16" (autocast), or "auto": bf16 on CUDA.
        threads: CPU threads of the model; `drawers`: threads, or processes
            where drawing is much work, that draw batches ahead.
        save_every, log_every, picture_every: steps between checkpoints, lines of the log, and
            pictures; 0 leaves pictures out.
        sight_every: steps between looks at whether the model reads the video; 0 is never.
    """

    stage: str
    preset: str = "7b"
    slot: str = ""
    only: tuple[str, ...] = ()
    start: str = ""
    data: str = "synthetic"
    photographs: str = ""
    cache: str = "out/cache"
    sets: tuple[str, ...] = ()
    ratios: dict[str, float] = field(default_factory=dict)
    sentences: int = 3
    out: str = "out/train"
    seed: int = 0
    resume: str = "auto"
    precision: str = "auto"
    threads: int = 2
    drawers: int = 2
    save_every: int = 100
    log_every: int = 10
    picture_every: int = 200
    sight_every: int = 0


# The least and the most that a key may be; the others take any number.
_ANY = float("inf")
LIMITS: dict[type, dict[str, tuple[float, float]]] = {
    Run: {
        **dict.fromkeys(("threads", "drawers"), (1, MOST_THREADS)),
        **dict.fromkeys(("sentences", "save_every", "log_every"), (1, _ANY)),
        **dict.fromkeys(("seed", "picture_every", "sight_every"), (0, _ANY)),
    },
    Stage: {
        **dict.fromkeys(("steps", "accumulate"), (1, _ANY)),
        **dict.fromkeys(("warmup", "lr", "weight_decay", "clip"), (0, _ANY)),
    },
    WindowDraws: {"anchors": (1, _ANY), "before": (0, _ANY), "after": (0, _ANY)},
    CachedDraws: {
        **dict.fromkeys(("scenes", "sentences", "fused"), (1, _ANY)),
        "anchors": (0, _ANY),
        "count": (32, _ANY),
    },
    SceneDraws: {"scenes": (1, _ANY), "sentences": (0, _ANY), "tracked": (0, _ANY)},
}


def recipes() -> list[str]:
    """The names of the recipes of the package."""
    return sorted(path.name.removesuffix(YAML) for path in RECIPES.iterdir())


def read_settings(
    recipe: str | Path, changes: Sequence[str] = (), points: bool | None = None
) -> tuple[Run, tuple[Stage, ...]]:
    """The run and its stages, in order.

    Args:
        recipe: one of `recipes`, or a YAML file of differences, which begins with
            `stage: propagation` or another of `STAGES`.
        changes: `key=value`, stronger than the file; a dot goes into a part
            (`draws.anchors=1`). Keys are the fields of `Run` and of `Stage`.
        points: whether the weights that the run starts from point; None: as those are that are
            there.

    Raises:
        SettingsError: a file that cannot be read, an unknown key, a value of another kind.
        WeightsError: as `starts_pointing`.
    """
    values = _merged(recipe, changes)
    path = str(recipe)
    run_names = {field.name for field in dataclasses.fields(Run)}
    stage_names = {field.name for field in dataclasses.fields(Stage)} - {"name"}
    unknown = sorted(set(values) - run_names - stage_names)
    if unknown:
        known = ", ".join(sorted(run_names | stage_names))
        raise SettingsError(f"{path}: unknown key {unknown[0]!r}; known are {known}")
    if "stage" not in values:
        raise SettingsError(f"{path}: has no stage; begin with `stage: propagation`")
    own = {name: value for name, value in values.items() if name in run_names}
    run = _changed(Run(str(own["stage"])), own, str(path))
    if (run.stage, run.preset) not in STAGES:
        known = ", ".join(f"{stage} ({preset})" for stage, preset in STAGES)
        raise SettingsError(f"{path}: no stage {run.stage} ({run.preset}); known are {known}")
    _check_choice(path, "resume", run.resume, RESUMES)
    _check_choice(path, "precision", run.precision, PRECISIONS)
    if run.data == "synthetic" and (run.sets or run.ratios):
        raise SettingsError(
            f"{path}: sets and ratios belong to data=ROOT, not to synthetic scenes"
        )
    for name, ratio in run.ratios.items():
        if type(ratio) not in (int, float):
            raise SettingsError(f"{path}: ratios.{name} is {ratio!r}, not a number")
    rest = {name: value for name, value in values.items() if name not in run_names}
    return run, _chosen(run, rest, str(path), points)


def starts_from_nothing(run: Run, stage: Stage) -> bool:
    """Whether a stage makes its weights itself: one that trains everything and has no start."""
    return not run.start and not stage.adapters and "*" in stage.trains


def starts_pointing(run: Run, stage: Stage) -> bool:
    """Whether the weights that a stage starts from are there and point.

    Raises WeightsError where their config.json cannot be read.
    """
    if starts_from_nothing(run, stage) or not (run.start or run.preset == "tiny"):
        return False
    config = (Path(run.start) if run.start else TINY) / CONFIG_FILE
    return config.is_file() and bool(read_object(config).get("pointing"))


def _chosen(
    run: Run, values: Mapping[str, Any], where: str, points: bool | None
) -> tuple[Stage, ...]:
    stages = STAGES[run.stage, run.preset]
    if run.slot:
        _check_choice(where, "slot", run.slot, [s for s, preset in STAGES if preset == run.preset])
        steps = sum(stage.steps for stage in STAGES[run.slot, run.preset])
        stages = tuple(dataclasses.replace(stage, steps=steps) for stage in stages)
    names = [stage.name for stage in stages]
    for name in run.only:
        _check_choice(where, "only", name, names)
    chosen = [stage for stage in stages if not run.only or stage.name in run.only]
    build = values.get("build")
    if isinstance(build, Mapping) and build.get("pointing") is False:
        points = False
    elif points is None:
        points = starts_pointing(run, chosen[0])
    changed = [_told(stage, values, where, points) for stage in chosen]
    for stage in changed:
        _check_choice(where, "schedule", stage.schedule, SCHEDULES)
        _check_objective(where, stage)
        _check_draws(where, stage.draws)
        if not stage.trains:
            raise SettingsError(f"{where}: trains is empty: nothing would train")
        if len(stage.betas) != 2 or not all(0 <= beta < 1 for beta in stage.betas):
            raise SettingsError(f"{where}: betas is {stage.betas}, not two of 0 to 1, 1 left out")
    return tuple(changed)


def _told(stage: Stage, values: Mapping[str, Any], where: str, points: bool) -> Stage:
    """The stage with `values` in place of its own, also of what it has where it is to point.

    `points`: the weights that it starts from do. A stage of windows trains that, too: what moves
    [ST] and nothing that [ST] points by would have it point elsewhere.
    """
    changed = _changed(stage, values, where)
    goes_on = points and isinstance(stage.draws, WindowDraws)
    if (changed.build.pointing or goes_on) and not stage.build.pointing:
        return _changed(_pointed(stage), values, where)
    return changed


def _pointed(stage: Stage) -> Stage:
    """The stage, for a model that is made to point: that trains, too, from where targets are.

    A stage that says itself what of it trains is left as it is. The weight, 1 as of the other
    terms, was tried on a tiny model alone.
    """
    if any(pattern.startswith("pointing.") for pattern in stage.trains):
        return stage
    trains = stage.trains if "*" in stage.trains else (*stage.trains, "pointing.*")
    objective = dataclasses.replace(stage.objective, point=stage.objective.point or 1.0)
    return dataclasses.replace(stage, trains=trains, objective=objective)


def _merged(recipe: str | Path, changes: Sequence[str]) -> dict[str, Any]:
    for change in changes:
        if "=" not in change:
            raise SettingsError(f"{change}: is not key=value")
    file = RECIPES / f"{recipe}{YAML}" if str(recipe) in recipes() else Path(recipe)
    try:
        with file.open(encoding="utf-8") as text:
            own = OmegaConf.load(text)
        merged = OmegaConf.merge(own, OmegaConf.from_dotlist(list(changes)))
        values = OmegaConf.to_container(merged, resolve=True)
    except OSError as error:
        known = ", ".join(recipes())
        raise SettingsError(
            f"{recipe}: cannot be read ({error.strerror or error}); give a YAML file, or one of "
            f"{known}"
        ) from None
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
        raise SettingsError(f"{recipe}: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{recipe}: is not a list of `key: value`")
    return values


def _changed(record: Any, values: Mapping[str, Any], where: str) -> Any:
    """A dataclass with `values` in place of its own; only what it has, and of the same kind."""
    own = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    new = {}
    for name, value in values.items():
        if name not in own:
            known = ", ".join(sorted(own))
            raise SettingsError(f"{where}: unknown key {name!r}; known are {known}")
        new[name] = _fitted(own[name], value, f"{where}: {name}")
        least, most = LIMITS.get(type(record), {}).get(name, (-_ANY, _ANY))
        if isinstance(own[name], (int, float)) and not least <= new[name] <= most:
            bounds = f"not at least {least}" if new[name] < least else f"not {least} to {most}"
            raise SettingsError(f"{where}: {name} is {value}, {bounds}")
    return dataclasses.replace(record, **new)


def _fitted(old: Any, value: Any, where: str) -> Any:
    """`value` as what `old` is."""
    if dataclasses.is_dataclass(old) and isinstance(value, dict):
        return _changed(old, value, where)
    if isinstance(old, tuple):
        like = old[0] if old else ""
        pairs = not old or isinstance(like, tuple)
        return tuple(
            tuple(item) if pairs and isinstance(item, list) else _fitted(like, item, where)
            for item in _listed(value, where)
        )
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if isinstance(old, str) and value is None:
        return ""
    if type(value) is not type(old):
        raise SettingsError(f"{where} is {value!r}, not a {type(old).__name__} as {old!r} is")
    return value


def _listed(value: Any, where: str) -> list:
    """ "a,b" is [a,b], which some shells take for a pattern; nothing at all is no value."""
    if value is None:
        return []
    if not isinstance(value, str):
        return value if isinstance(value, list) else [value]
    try:
        return yaml.safe_load(f"[{value}]")
    except (yaml.YAMLError, ValueError):
        raise SettingsError(f"{where} is {value!r}, not a list as a,b") from None


def _check_draws(where: str, draws: SceneDraws | CachedDraws | WindowDraws) -> None:
    """Frames come in clips of four; an encoder that is trained alone takes any number."""
    alone = isinstance(draws, SceneDraws) and not draws.sentences
    if not draws.windows or any(n < 1 or (n % 4 and not alone) for n in draws.windows):
        windows = ", ".join(map(str, draws.windows)) or "empty"
        raise SettingsError(f"{where}: draws.windows is {windows}; give multiples of 4, as 4,8")
    if isinstance(draws, CachedDraws) and min(draws.windows) < LEAST_FRAMES:
        raise SettingsError(
            f"{where}: draws.windows has {min(draws.windows)}; windows that are kept are not "
            f"filled up as a stream fills them: give {LEAST_FRAMES} or more"
        )
    if isinstance(draws, WindowDraws):
        _check_choice(where, "draws.spacing", draws.spacing, SPACINGS)
    elif not all(list(map(type, pair)) in ([str, int], [str, float]) for pair in draws.kinds):
        raise SettingsError(
            f"{where}: draws.kinds is {draws.kinds}; give pairs, as [[motion,0.5]]"
        )


def _check_objective(where: str, stage: Stage) -> None:
    helps = {name: getattr(stage.objective, name) for name in ("heads", "look", "read")}
    wanted = [name for name, weight in helps.items() if weight]
    if wanted and isinstance(stage.draws, WindowDraws):
        raise SettingsError(
            f"{where}: objective.{wanted[0]} is {helps[wanted[0]]}; it needs what only the scenes "
            f"of the stage trunks tell: leave it 0 in {stage.name}"
        )


def _check_choice(where: str | Path, key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SettingsError(f"{where}: {key} is {value!r}; known are {', '.join(known)}")
