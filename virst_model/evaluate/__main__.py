"""python -m virst_model.evaluate: how well a model does on a data set, or on synthetic scenes.

    python -m virst_model.evaluate --videos 60
    python -m virst_model.evaluate --stories 100 --mode offline
    python -m virst_model.evaluate --dataset mevis --root DATA --split valid_u

Without --dataset or --stories, synthetic scenes are streamed, with a query swap. Stories are
scenes in which things happen (virst_model/data/stories). A data set's masks are written as its
server takes them, with results.json, table.md and report.html beside them; a run that was stopped
goes on where it was. Many GPUs: `accelerate launch -m virst_model.evaluate ...`.
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

from virst_model.checkpoints import WeightsError
from virst_model.command_line import (
    UsageError,
    add_model_options,
    add_switches,
    fail,
    load_scorer,
    load_switched,
    set_up_logging,
    switched,
)
from virst_model.data.catalogue import CATALOGUE, default_split, open_dataset
from virst_model.data.record import DataError, Expression, Record, Records
from virst_model.evaluate import scenes, stories
from virst_model.evaluate.attention import patch_attention
from virst_model.evaluate.page import Case, write_page
from virst_model.evaluate.predict import MODES, Pass, predict
from virst_model.evaluate.predictions import Predictions, share
from virst_model.evaluate.protocols import pack, protocol
from virst_model.evaluate.score import Row, markdown, score, table_rows
from virst_model.grounder import StreamError
from virst_model.virst import Virst

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
    write_page(out / "report.html", title, rows, cases, predictions, attention, cases_shown)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    parser.add_argument("--fps", type=float, help="of a stream (default: 6; scenes: 10)")
    parser.add_argument("--delay", type=int, default=1, help="frames that a grounding takes")
    parser.add_argument(
        "--annotators",
        type=int,
        default=0,
        help="4: Ref-DAVIS17's standard protocol, one person's masks exclude each other",
    )
    parser.add_argument(
        "--protocol", default="", help="of reason-seg: released (the default) or lisa"
    )
    parser.add_argument("--cases", type=int, default=40, help="shown in report.html")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    group = parser.add_argument_group("synthetic scenes")
    group.add_argument("--videos", type=int, default=60)
    group.add_argument("--stories", type=int, metavar="N", help="so many stories instead")
    group.add_argument("--frames", type=int, default=60, help="of each video")
    group.add_argument("--height", type=int, default=240)
    group.add_argument("--width", type=int, default=320)
    add_switches(parser)
    add_model_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where input or an option cannot be used, said in one line."""
    options = _parser().parse_args(arguments)
    set_up_logging()
    torch.set_num_threads(options.threads)
    try:
        if options.dataset:
            text = _evaluate_dataset(options)
        elif options.stories:
            text = _evaluate_stories(options)
        else:
            text = _evaluate_scenes(options)
    except (UsageError, WeightsError, DataError, StreamError) as error:
        return fail(error)
    sys.stdout.write(text)
    return 0


def _evaluate_dataset(options: argparse.Namespace) -> str:
    if options.root is None:
        raise UsageError(f"--root: where is {options.dataset}?")
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
    found = markdown(rows) if rows else "no truth in this split: masks only\n"
    return f"{found}\n{options.out}\n" if PartialState().is_main_process else ""


def _evaluate_stories(options: argparse.Namespace) -> str:
    how = stories.StoryRun(videos=options.stories, mode=options.mode, **_filming(options))
    model = load_switched(options)
    scorer = load_scorer(options, model, whole=options.mode == "offline")
    results = stories.evaluate(model, how, scorer)
    _write_json(options.out, dataclasses.asdict(how) | results)
    return stories.table(results, how)


def _evaluate_scenes(options: argparse.Namespace) -> str:
    how = scenes.SceneRun(videos=options.videos, **_filming(options))
    model = load_switched(options)
    load_scorer(options, model, whole=False)
    results = scenes.evaluate(model, how)
    _write_json(options.out, results)
    return scenes.table(results)


def _filming(options: argparse.Namespace) -> dict:
    """What scenes and stories are told alike."""
    chosen = {name: getattr(options, name) for name in ("frames", "height", "width", "delay")}
    return chosen | {"split": options.split or "test", "fps": options.fps or 10.0}


def _write_json(out: Path, results: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1) + "\n"
    (out / "results.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
