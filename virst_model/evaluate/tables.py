"""virst tables: the tables of the paper, on stories or a data set.

    virst tables 5                      anchor strategies
    virst tables 6                      alpha
    virst tables 4 --steps 200          fusion, retrained
    virst tables 8 --steps 200          after each stage of training
    virst tables 8 --trained out/train  after each stage of a training
    virst tables 9 --steps 20,40,20     stages left out
    virst tables 10                     FPS and peak memory over alpha
    virst tables 11                     FPS of the whole pipeline
    virst tables pointing --model DIR   what pointing adds, which is ours and not the paper's
    virst tables 9 --dataset mevis --root DATA --start DIR --preset 7b

Tables 5, 6, 10, 11 and that of pointing need no training. The rows of the others are trained from
the same weights, each slot of a training for the preset's steps or for `--steps`; they are real,
and say how small they are. On a data set the training's data are those below --root, and masks lie
below --out; a split whose truth only a server has gives masks alone.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
import logging
from pathlib import Path
import re
import sys

import torch

from virst_model.arguments import THREADS, Parser, whole
from virst_model.checkpoints.folder import CONFIG_FILE, read_object
from virst_model.checkpoints.load import TINY, stored_config
from virst_model.checkpoints.options import (
    add_model_options,
    add_switches,
    check_switches,
    load_switched,
    set_up_logging,
    switched,
)
from virst_model.data.catalogue import CATALOGUE, default_split, open_dataset
from virst_model.data.record import Records, reasons
from virst_model.errors import FileError, UsageError, program
from virst_model.evaluate import rates, rows, sight
from virst_model.evaluate.predict import Pass
from virst_model.evaluate.run import check_run, run
from virst_model.evaluate.score import ALL, Row
from virst_model.evaluate.slots import Training
from virst_model.evaluate.synthetic import SyntheticRun, asks_something, evaluate
from virst_model.model.machine import measured_on
from virst_model.model.virst import Virst
from virst_model.offline.guide import load_scorer
from virst_model.offline.video import Scorer
from virst_model.synthetic.splits import SPLITS
from virst_model.synthetic.stories import KINDS

_log = logging.getLogger(__name__)

POINTING = "pointing"
TITLES: dict[int | str, str] = {
    4: "fusion",
    5: "anchor strategies",
    6: "alpha",
    8: "after each stage",
    9: "stages left out",
    10: "FPS and peak memory over alpha",
    11: "FPS of the whole pipeline",
    POINTING: "ours and not the paper's",
}
TRAINED = (4, 8, 9)
# Options that say nothing of rows that are not trained.
OF_TRAINED = ("preset", "steps", "train_data")
# Options that set otherwise what the rows of Table 4 differ in.
FUSIONS = ("initial_fusion", "second_fusion")
# Table 10.
SWEPT_ALPHAS = tuple(range(1, 9))
STORIES = 40  # unless --videos says otherwise
SHOWN_CASES = 10  # shown in the report of a row on a data set
# Columns of an evaluation that a table of the paper has not.
LEFT_OUT_COLUMNS = (ALL, "never answered")

# A row's name and its model -> its columns, or what is said in their place.
Judge = Callable[[str, Virst], Row | str]


def print_table(lines: Iterator[rows.Line], judge: Judge, title: str) -> None:
    """Each row as soon as it is measured."""
    sys.stdout.write(f"{title}\n\n")
    columns: list[str] = []
    for name, model in lines:
        row = judge(name, model)
        if isinstance(row, str):
            sys.stdout.write(f"{name}: {row}\n")
            continue
        if not columns:
            columns = [column for column in row if column not in LEFT_OUT_COLUMNS]
            sys.stdout.write(f"| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}\n")
        values = (row[column] for column in columns)
        cells = [str(value) if isinstance(value, int) else f"{value:.1f}" for value in values]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


def _name(table: int | str) -> str:
    """What a table is called."""
    return f"Table {table}" if isinstance(table, int) else str(table).capitalize()


def _guide(options: argparse.Namespace, model: Virst) -> Scorer | None:
    """Of a row's anchors; without CLIP, Table 5's guided row is one of colours, and says so."""
    guided = model.config.behaviour.anchors == "guided"
    if guided and options.table == 5 and options.clip is None:
        # Here, since most tables need none of CLIP's code, which takes seconds.
        from virst_model.offline.scorers import colour_score

        return colour_score
    return load_scorer(options, model)


def _on_stories(options: argparse.Namespace) -> tuple[Judge, str]:
    """Rows on stories, and what they are measured on."""
    if options.root is not None:
        raise UsageError("--root: of which --dataset?")
    kinds = tuple(options.kinds.split(","))
    split = options.split or "test"
    if split not in SPLITS:
        raise UsageError(f"--split: {split!r} is none of {', '.join(SPLITS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"--kinds: {kind!r} is none of {', '.join(KINDS)}")
    stories = SyntheticRun(
        split=split, videos=options.videos or STORIES, kinds=kinds, mode="offline"
    )
    if not asks_something(stories):
        raise UsageError(f"--kinds: no sentence of {options.kinds} in {stories.videos} stories")
    where = f"{stories.videos} stories, offline"
    scenes = sight.SightRun(split=split, videos=max(2, stories.videos))
    if options.table == POINTING:
        where += f"; clip tokens: {scenes.videos} scenes"

    def score(name: str, model: Virst) -> Row:
        return evaluate(model, stories, _guide(options, model))["rows"]["overall"]

    def speed(name: str, model: Virst) -> Row:
        return rates.rate(model, rates.story_tasks(stories), _guide(options, model))

    def look(name: str, model: Virst) -> Row:
        return score(name, model) | _sight(model, scenes)

    return {10: speed, 11: speed, POINTING: look}.get(options.table, score), where


def _sight(model: Virst, run: sight.SightRun) -> Row:
    """IoU of the anchors of windows, by whose clip tokens are read."""
    measured = sight.measure(model, run)[sight.ALL]
    return {f"{tokens} tokens": measured[tokens]["published"] for tokens in run.tokens}


def _on_dataset(options: argparse.Namespace) -> tuple[Judge, str]:
    """Rows on a data set, and what they are measured on."""
    if options.root is None:
        raise UsageError(f"--root: where is {options.dataset}?")
    split = options.split or default_split(options.dataset)
    contents = open_dataset(options.dataset, options.root, split)
    records = Records(contents.records[: options.videos], contents.skipped)
    if not records.records:
        raise FileError(options.root, f"nothing of the split {split} can be used")
    split_settings = {"dataset": options.dataset, "split": split, "videos": options.videos}
    split_settings |= {
        "model": str(options.model or "tiny"),
        "steps": options.steps,
        **switched(options),
    }
    split_settings |= {
        "preset": options.preset,
        "trained": options.trained,
        "train_data": options.train_data,
    }

    def score(name: str, model: Virst) -> Row | str:
        out = options.out / f"table_{options.table}" / re.sub(r"\W+", "_", name)
        how = Pass(seed=options.seed, scorer=_guide(options, model))
        settings = {key: str(value) for key, value in (how.settings() | split_settings).items()}
        check_run(out, settings | {"row": name})
        report = run(model, options.dataset, records, out, how, SHOWN_CASES)
        for line in reasons(report.left_out):
            _log.warning("%s: left out: %s", name, line)
        return report.rows.get("overall") or f"no truth in this split: masks only, in {out}"

    def speed(name: str, model: Virst) -> Row:
        return rates.rate(model, rates.record_tasks(records.records), _guide(options, model))

    where = f"{options.dataset} {split}, {len(records.records)} records, offline"
    return (speed if options.table in (10, 11) else score), where


def _lines(options: argparse.Namespace) -> tuple[Iterator[rows.Line], str]:
    """The rows of the table that is asked for, and what is to be said of them."""

    def load(folder: Path | None) -> Virst:
        return load_switched(argparse.Namespace(**vars(options) | {"model": folder}))

    if options.table == 8 and options.trained:
        return rows.trained_rows(options.trained, load), str(options.trained)
    if options.table in TRAINED:
        training = _training(options)
        trained = {4: rows.fusion_rows, 8: rows.stage_rows, 9: rows.left_out_rows}
        return trained[options.table](training, load), training.duration()
    model = load(options.model)
    if options.table == 5:
        guide = "a colour score, not CLIP" if options.clip is None else "CLIP"
        return rows.anchor_rows(model, guide), "no training"
    if options.table == 6:
        return rows.alpha_rows(model), "no training"
    if options.table == POINTING:
        return rows.pointing_rows(model), "no training"
    here = ", ".join(f"{name} {value}" for name, value in measured_on(model).items())
    if options.table == 10:
        return rows.alpha_rows(model, SWEPT_ALPHAS), here
    return iter([(options.dataset or "stories", model)]), here


def _training(options: argparse.Namespace) -> Training:
    start = options.model or TINY
    preset = options.preset or str(read_object(start / CONFIG_FILE).get("preset"))
    data = options.train_data or (str(options.root) if options.dataset else "synthetic")
    name = f"{preset}_{Path(data).name}_{'_'.join(map(str, options.steps)) or 'all'}_steps"
    out = options.out / name
    # What lies there is gone on with, so it must be of the same start and data.
    of = {"start": str(start.resolve()), "preset": preset, "steps": list(options.steps)}
    of |= {"data": data if data == "synthetic" else str(Path(data).resolve())}
    check_run(out, of | {name: str(value) for name, value in switched(options).items()})
    return Training(start, preset, data, options.steps, out, options.device or "")


def _table(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _steps(text: str) -> tuple[int, ...]:
    steps = tuple(whole(1)(part) for part in text.split(","))
    if len(steps) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor three, as 20,40,20")
    return steps if len(steps) == 3 else steps * 3


def _parser() -> Parser:
    parser = Parser(
        prog="virst tables",
        description=__doc__,
    )
    parser.add_argument("table", type=_table, choices=tuple(TITLES))
    parser.add_argument("--dataset", choices=list(CATALOGUE), help="default: stories")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the data sets lie")
    parser.add_argument("--split", help="default: the stories' test, else a data set's second")
    parser.add_argument(
        "--videos",
        type=whole(1),
        help=f"the first of a data set (default: all), or {STORIES} stories",
    )
    parser.add_argument(
        "--kinds", default="attribute,motion,relation", help="of stories' sentences"
    )
    parser.add_argument("--threads", type=THREADS, default=2, help="CPU threads")
    parser.add_argument(
        "--out", type=Path, default=Path("out/tables"), metavar="DIR", help="what to write into"
    )
    group = parser.add_argument_group("rows that are trained")
    group.add_argument(
        "--start", type=Path, dest="model", metavar="DIR", help="another name for --model"
    )
    group.add_argument(
        "--preset", choices=("tiny", "7b"), help="of the stages (default: --start's)"
    )
    group.add_argument(
        "--steps", type=_steps, default=(), help="of each slot, or three as 20,40,20 (preset's)"
    )
    group.add_argument("--train-data", metavar="ROOT", help="or `synthetic` (default: --root)")
    group.add_argument(
        "--trained",
        type=Path,
        metavar="DIR",
        help="Table 8 of the stages that were trained to DIR/trunks, DIR/alignment, ...",
    )
    add_switches(parser)
    add_model_options(parser)
    return parser


def _check_table(parser: Parser, options: argparse.Namespace) -> None:
    """Raises UsageError where an option says nothing of the table, or contradicts it."""
    number, trained = options.table, options.trained is not None
    what_is = "what --trained names was" if trained else f"nothing of {_name(number)} is"
    refused = [
        (number != 8, ("trained",), "only Table 8 is of a training that was run"),
        (trained or number not in TRAINED, OF_TRAINED, f"{what_is} trained"),
        (number == 4, FUSIONS, "the rows of Table 4 have fusions of their own"),
        (options.dataset is not None, ("kinds",), "are those of stories, not of a data set"),
    ]
    for applies, names, reason in refused:
        changed = parser.changed(options, names) if applies else []
        if changed:
            raise UsageError(f"{changed[0]}: {reason}; leave it out")
    if options.preset == "7b" and options.model is None:
        raise UsageError("--preset 7b: needs --start DIR, weights of that size")


def _check_weights(options: argparse.Namespace) -> None:
    """Raises UsageError where the weights that the rows start from have not the fusion for them.

    They say so themselves once they are loaded, which is after a row's training.
    """
    start = options.model or TINY
    config = stored_config(
        options.trained / rows.TRUNKS_FOLDER / "weights" if options.trained else start
    )
    check_switches(options, config)
    if options.table == 4:
        rows.check_start(config)
    if options.table == POINTING:
        rows.check_pointing(config)


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where an option cannot be used or a row not be trained, said in one line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    set_up_logging()
    torch.set_num_threads(options.threads)
    _check_table(parser, options)
    _check_weights(options)
    judge, where = (_on_dataset if options.dataset else _on_stories)(options)
    lines, how = _lines(options)
    title = f"{_name(options.table)}, {TITLES[options.table]} ({where}; {how})"
    print_table(lines, judge, title)
    return 0
