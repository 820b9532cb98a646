"""A model on a data set: predicts what is not done, scores everything, and writes the report."""

from collections.abc import Sequence
import dataclasses
import json
import logging
from pathlib import Path

from accelerate import PartialState
from tqdm import tqdm

from virst_model.data.record import Expression, Record, Records
from virst_model.errors import FileError
from virst_model.evaluate.attention import patch_attention
from virst_model.evaluate.page import ScoredExpression, write_page
from virst_model.evaluate.predict import Pass, predict
from virst_model.evaluate.predictions import Predictions, share
from virst_model.evaluate.protocols import pack, protocol
from virst_model.evaluate.score import Row, markdown, score, table_rows
from virst_model.model.virst import Virst

PAGE = "report.html"

_log = logging.getLogger(__name__)


def run(
    model: Virst, dataset: str, records: Records, out: Path, how: Pass, cases_shown: int
) -> dict[str, Row]:
    """Predicts what is not done, then scores everything.

    Returns:
        The rows of the table; empty where only a server has the truth.

    In one of several processes: every process predicts its share, the first one scores.

    Raises:
        FileError: a frame or a truth cannot be used, or `out` cannot be written.
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
    pairs = [(record, e) for record in records.records for e in record.expressions]
    if all(expression.mask is None for _, expression in pairs):
        return {}  # a split whose truth only the server has
    cases = [
        ScoredExpression(
            score(record, expression, predictions, record.foreground, rules.ignored(record)),
            record,
            expression,
        )
        for record, expression in tqdm(pairs, unit="expression", desc="score", leave=False)
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
    out: Path,
    rows: dict[str, Row],
    results: dict,
    records: Records,
    cases: Sequence[ScoredExpression],
) -> None:
    results |= {"skipped": dict(records.skipped), "table": rows}
    results["expressions"] = [dataclasses.asdict(case.score) for case in cases]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(markdown(rows), encoding="utf-8")


def check_run(out: Path, settings: dict) -> None:
    """Writes what a folder's results are of; FileError where it holds those of another run."""
    path = out / "run.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before != settings:
                raise FileError(out, f"holds results of another run ({before}); use another --out")
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror})") from None
    except ValueError as error:
        raise FileError(path, f"is damaged ({error}); use another --out") from None
