"""python -m virst_model.evaluate: how well a model does on a data set, or on synthetic scenes.

    python -m virst_model.evaluate --videos 60
    python -m virst_model.evaluate --stories 100 --mode offline
    python -m virst_model.evaluate --dataset mevis --root DATA --split valid_u

Without --dataset or --stories, synthetic scenes are streamed, with a query swap. Stories are
scenes in which things happen (virst_model/synthetic/stories). A data set's masks are written as
its server takes them, with results.json, table.md and report.html beside them; a run that was
stopped goes on where it was. Many GPUs: `accelerate launch -m virst_model.evaluate ...`.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import json
import logging
from pathlib import Path
import sys

from accelerate import PartialState
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from virst_model.arguments import THREADS, Parser, above_0, whole
from virst_model.checkpoints.options import (
    add_model_options,
    add_switches,
    load_switched,
    set_up_logging,
    switched,
    writable,
)
from virst_model.data.catalogue import CATALOGUE, default_split, open_dataset
from virst_model.data.record import DataError, Expression, Record, Records
from virst_model.errors import UsageError, program
from virst_model.evaluate import scenes, stories
from virst_model.evaluate.attention import patch_attention
from virst_model.evaluate.page import Case, write_page
from virst_model.evaluate.predict import MODES, Pass, predict
from virst_model.evaluate.predictions import Predictions, share
from virst_model.evaluate.protocols import pack, protocol
from virst_model.evaluate.score import Row, markdown, score, table_rows
from virst_model.model.virst import Virst
from virst_model.offline.guide import load_scorer
from virst_model.synthetic.scenes import SPLITS
from virst_model.synthetic.stories.acts import TICK_S

# Expressions of an object in Ref-DAVIS17, one a person.
FOUR, OF_FOUR = 4, "ref-davis17"
PAGE = "report.html"
LEAST_SIDE = 16  # of a synthetic video, in pixels

_log = logging.getLogger(__name__)


def run(
    model: Virst, dataset: str, records: Records, out: Path, how: Pass, cases_shown: int
) -> dict[str, Row]:
    """Predicts what is not done, then scores everything.

    Returns:
        The rows of the table; empty where only a server has the truth.

    In one of several processes: every process predicts its share, the first one scores.

    Raises:
        DataError: a frame or a truth cannot be used, or `out` cannot be written.
    """
    rules = protocol(dataset, how.protocol)
    records = rules.asked(records)
    predictions = Predictions(out)
    state = PartialState()
    mine = list(share(records.records, state.process_index, state.num_processes))
    for record in tqdm(mine, unit="record", disable=not state.is_main_process):
        predict(model, record, predictions, how)
    state.wait_for_everyone()
    if not state.is_main_process:
        return {}
    if rules.archive:
        pack(predictions.masks, out / rules.archive, rules.inside)
    pairs = [(record, one) for record in records.records for one in record.expressions]
    if all(one.mask is None for _, one in pairs):
        return {}  # a split whose truth only the server has
    cases = [
        Case(
            score(record, one, predictions, record.foreground, rules.ignored(record)), record, one
        )
        for record, one in tqdm(pairs, unit="expression", desc="score", leave=False)
    ]
    scores = [case.score for case in cases]
    rows = table_rows(scores, rules.row, rules.parts)
    missing = [f"{s.record}/{s.expression}" for s in scores if s.missing]
    if missing:
        _log.warning("%d expressions have no prediction and score 0: %s", len(missing), missing)
    _write_results(out, rows, {"note": _note(rules.note, how), "missing": missing}, records, cases)

    def attention(record: Record, expression: Expression) -> dict:
        return patch_attention(model, record, expression.text, how.seed)

    title = f"{dataset}, {how.mode}"
    write_page(out / PAGE, title, rows, cases, predictions, attention, cases_shown)
    return rows


def _note(note: str, how: Pass) -> str:
    if how.annotators:
        return (
            f"{how.annotators} annotators: one person's masks exclude each other (logit above 0, "
            "the highest wins); J and F an object over all frames, then the mean."
        )
    return note


def _write_results(
    out: Path, rows: dict[str, Row], said: dict, records: Records, cases: Sequence[Case]
) -> None:
    said |= {"skipped": dict(records.skipped), "table": rows}
    said["expressions"] = [dataclasses.asdict(case.score) for case in cases]
    (out / "results.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(markdown(rows), encoding="utf-8")


def check_run(out: Path, settings: dict) -> None:
    """Writes what a folder's results are of; DataError where it holds those of another run."""
    path = out / "run.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before != settings:
                raise DataError(out, f"holds results of another run ({before}); use another --out")
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(path, f"cannot be written ({error.strerror})") from None
    except ValueError as error:
        raise DataError(path, f"is damaged ({error}); use another --out") from None


def _parser() -> Parser:
    parser = Parser(
        prog="python -m virst_model.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", choices=list(CATALOGUE), help="default: synthetic scenes")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the data sets lie")
    parser.add_argument("--split", help="default: the scenes' test, else a data set's second")
    parser.add_argument(
        "--mode", choices=MODES, default="offline", help="of a data set or of stories"
    )
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"), metavar="DIR")
    parser.add_argument("--fps", type=above_0, help="of a stream (default: 6; scenes: 10)")
    parser.add_argument("--delay", type=whole(0), default=1, help="frames that a grounding takes")
    parser.add_argument(
        "--annotators",
        type=int,
        choices=(0, FOUR),
        default=0,
        help="4: Ref-DAVIS17's standard protocol, one person's masks exclude each other",
    )
    parser.add_argument(
        "--protocol", default="", help="of reason-seg: released (the default) or lisa"
    )
    parser.add_argument("--cases", type=whole(0), default=40, help="shown in report.html")
    parser.add_argument("--threads", type=THREADS, default=2, help="CPU threads")
    group = parser.add_argument_group("synthetic scenes")
    group.add_argument("--videos", type=whole(1), default=60)
    group.add_argument("--stories", type=whole(1), metavar="N", help="so many stories instead")
    group.add_argument("--frames", type=whole(1), default=60, help="of each video")
    group.add_argument("--height", type=whole(LEAST_SIDE), default=240)
    group.add_argument("--width", type=whole(LEAST_SIDE), default=320)
    add_switches(parser)
    add_model_options(parser)
    return parser


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where input or an option cannot be used, said in one line.

    What it prints ends with where the results lie.
    """
    options = _parser().parse_args(arguments)
    set_up_logging()
    torch.set_num_threads(options.threads)
    if options.dataset:
        text = _evaluate_dataset(options)
    elif options.root:
        raise UsageError("--root: which --dataset of it?")
    elif options.stories:
        text = _evaluate_stories(options)
    else:
        text = _evaluate_scenes(options)
    sys.stdout.write(text)
    return 0


def _evaluate_dataset(options: argparse.Namespace) -> str:
    if options.root is None:
        raise UsageError(f"--root: where is {options.dataset}?")
    if options.annotators and options.dataset != OF_FOUR:
        raise UsageError(
            f"--annotators: {options.dataset} has not {FOUR} an object; {OF_FOUR} has"
        )
    split = options.split or default_split(options.dataset)
    how = Pass(
        options.mode,
        options.fps or Pass.fps,
        options.delay,
        options.seed,
        options.annotators,
        options.protocol,
    )
    try:
        protocol(options.dataset, how.protocol)
    except ValueError as error:
        raise UsageError(f"--protocol: {error}") from None
    records = open_dataset(options.dataset, options.root, split)
    if not records.records:
        raise DataError(options.root, f"nothing of the split {split} can be used")
    settings = {"dataset": options.dataset, "split": split, **how.settings()}
    settings |= {name: str(value) for name, value in switched(options).items()}
    check_run(options.out, settings | {"model": str(options.model or "tiny")})
    with logging_redirect_tqdm():
        model = load_switched(options)
        scorer = load_scorer(options, model, whole=options.mode == "offline")
        how = dataclasses.replace(how, scorer=scorer)
        rows = run(model, options.dataset, records, options.out, how, options.cases)
    if not PartialState().is_main_process:
        return ""
    if not rows:
        return f"no truth in this split: masks only\n\n{options.out}\n"
    return f"{markdown(rows)}\n{options.out / PAGE}\n"


def _evaluate_stories(options: argparse.Namespace) -> str:
    how = stories.StoryRun(videos=options.stories, mode=options.mode, **_filming(options))
    out, model = writable(options.out), load_switched(options)
    scorer = load_scorer(options, model, whole=options.mode == "offline")
    results = stories.evaluate(model, how, scorer)
    written = _write_json(out, dataclasses.asdict(how) | results)
    return f"{stories.table(results, how)}\n{written}\n"


def _evaluate_scenes(options: argparse.Namespace) -> str:
    how = scenes.SceneRun(videos=options.videos, **_filming(options))
    out, model = writable(options.out), load_switched(options)
    load_scorer(options, model, whole=False)
    results = scenes.evaluate(model, how)
    written = _write_json(out, results)
    return f"{scenes.table(results)}\n{written}\n"


def _filming(options: argparse.Namespace) -> dict:
    """What scenes and stories are told alike; UsageError where they cannot be filmed so."""
    chosen = {name: getattr(options, name) for name in ("frames", "height", "width", "delay")}
    split, fps = options.split or "test", options.fps or 10.0
    if split not in SPLITS:
        raise UsageError(f"--split: {split!r} is none of {', '.join(SPLITS)}")
    if options.frames < TICK_S * fps:
        raise UsageError(f"--frames: {options.frames} at {fps:g} a second are under {TICK_S} s")
    return chosen | {"split": split, "fps": fps}


def _write_json(out: Path, results: dict) -> Path:
    path = out / "results.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
