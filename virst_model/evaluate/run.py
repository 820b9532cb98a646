"""A model on a data set: predicts what is not done, scores as it goes, and writes the report."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path

from accelerate import PartialState
from tqdm import tqdm

from virst_model.data.record import Expression, LeftOut, Record, Records
from virst_model.errors import FileError
from virst_model.evaluate.attention import patch_attention
from virst_model.evaluate.page import ScoredExpression, write_page
from virst_model.evaluate.predict import Pass, predict, steps_left
from virst_model.evaluate.predictions import Predictions, ResultsError, share
from virst_model.evaluate.protocols import Protocol, pack, protocol
from virst_model.evaluate.results import Course, Report, files, write_results
from virst_model.evaluate.score import Row, Score, score, table_rows
from virst_model.model.virst import Virst

PAGE = "report.html"
# Of a LeftOut that is found here.
UNREAD, UNSCORED = "video that cannot be read", "mask that cannot be compared with its truth"


def run(
    model: Virst, dataset: str, records: Records, out: Path, how: Pass, cases_shown: int
) -> Report:
    """Predicts what is not done, then scores it, record by record; writes the report at the end.

    One record that cannot be read, or whose truth does not fit, is left out and named; the others
    go on. The zip for a server is written where nothing was left out, else an old one is deleted.

    In one of several processes: every process takes its share, the first one writes the report and
    has it; the others have an empty one.

    Raises:
        FileError: `out` cannot be written, or a still image is to be streamed.
    """
    rules = protocol(dataset, how.protocol)
    records = rules.asked(records)
    if how.mode == "streaming":
        _check_stills(records)
    predictions = Predictions(out)
    state = PartialState()
    if state.is_main_process:
        for path in files(out):  # of a run that was stopped, perhaps of more processes
            path.unlink()
    state.wait_for_everyone()
    course = Course(out, state.process_index)
    mine = list(share(records.records, state.process_index, state.num_processes))
    total = sum(steps_left(record, predictions, how) for record in mine)
    with tqdm(total=total, unit="frame", disable=not state.is_main_process) as bar:
        for record in mine:
            for found in _run_record(model, record, predictions, how, rules, bar.update):
                course.add(found)
    state.wait_for_everyone()
    if not state.is_main_process:
        return Report()
    report, cases = _report(records, rules, predictions, course)
    note = _note(rules.note, how)
    write_results(out, note, report, [case.score for case in cases])
    if cases:

        def attention(record: Record, expression: Expression) -> dict:
            return patch_attention(model, record, expression.text, how.seed)

        page = out / PAGE
        title = f"{dataset}, {how.mode}"
        write_page(page, title, report, cases, predictions, attention, cases_shown)
    course.clear()
    return report


def _run_record(
    model: Virst,
    record: Record,
    predictions: Predictions,
    how: Pass,
    rules: Protocol,
    seen: Callable[[], object],
) -> Iterator[Score | LeftOut]:
    """What came of each sentence about a record; nothing of one that is done and has no truth."""
    why = ""
    try:
        predict(model, record, predictions, how, seen)
    except ResultsError:
        raise
    except FileError as error:
        why = str(error)
    left = [e.id for e in predictions.missing(record)] if why else []
    for expression in record.expressions:
        name = f"{record.id}/{expression.id}"
        if expression.id in left:
            yield LeftOut(name, UNREAD, why)
        elif expression.mask is not None:
            try:
                ignored = rules.ignored(record)
                yield score(record, expression, predictions, record.foreground, ignored)
            except FileError as error:
                yield LeftOut(name, UNSCORED, str(error))


def _report(
    records: Records, rules: Protocol, predictions: Predictions, course: Course
) -> tuple[Report, list[ScoredExpression]]:
    """What all processes found, in the order of the records."""
    scores, found = course.end()
    by_name = {(score.record, score.expression): score for score in scores}
    cases = [
        ScoredExpression(by_name[record.id, expression.id], record, expression)
        for record in records.records
        for expression in record.expressions
        if (record.id, expression.id) in by_name
    ]
    rows: dict[str, Row] = {}
    if cases:
        rows = table_rows([case.score for case in cases], rules.row, rules.parts)
    left_out = [*records.left_out, *found]
    archive = predictions.folder / rules.archive if rules.archive else None
    if archive and left_out:
        archive.unlink(missing_ok=True)  # of another day, when nothing was
        archive = None
    elif archive:
        pack(predictions, records.records, archive, rules.inside)
    return Report(rows, left_out, archive, rules.archive), cases


def _check_stills(records: Records) -> None:
    for record in records.records:
        if record.still:
            reason = "is a still image, which no stream answers for; run it offline"
            raise FileError(record.id, reason)


def _note(note: str, how: Pass) -> str:
    if how.annotators:
        return (
            f"{how.annotators} annotators: one person's masks exclude each other (logit above 0, "
            "the highest wins); J and F an object over all frames, then the mean."
        )
    return note


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
