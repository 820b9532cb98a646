"""What a run says of each sentence as it comes, and what was left out, with the reason.

`out/scores-0.jsonl`, of one process each, has a line a sentence while a run is under way;
`results.json`, `table.md` and `report.html` take its place at the end.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
import json
from pathlib import Path

from virst_model.data.record import LeftOut, reasons
from virst_model.evaluate.score import Row, Score, markdown

RESULTS = "results.json"


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Attributes:
        rows: of the table; empty where nothing could be compared with a truth.
        left_out: what no mask or no score is of: of the data set, or found by this run.
        archive: the zip for the server; None where there is none, or it would lack something.
        wanted: the name of the zip that the server takes; empty: there is no server.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()
    archive: Path | None = None
    wanted: str = ""

    def text(self) -> str:
        """The table, and below it what was left out and why, as a person reads them."""
        lines = ["no truth in this split: masks only\n"]
        if self.rows:
            lines = [markdown(self.rows)]
        elif self.left_out:
            lines = ["nothing could be compared with a truth\n"]
        if self.left_out:
            lines.append(f"left out, and in no figure above ({RESULTS} has all of it):\n")
            lines += [f"- {line}\n" for line in reasons(self.left_out)]
        if self.wanted and self.archive is None:
            lines.append(f"no {self.wanted}: its server wants all of the split\n")
        return "".join(lines)


class Course:
    """The lines of a run that is under way: a file a process, all of them read by the first."""

    def __init__(self, out: Path, process: int) -> None:
        """Begins the file of a process anew; the first one ends what other runs left."""
        self._out = out
        self._path = out / f"scores-{process}.jsonl"
        self._path.write_text("", encoding="utf-8")

    def add(self, one: Score | LeftOut) -> None:
        """Writes a line: it is there, whatever ends the run."""
        kind = "score" if isinstance(one, Score) else "left_out"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({kind: asdict(one)}) + "\n")

    def end(self) -> tuple[list[Score], list[LeftOut]]:
        """All that every process found; their files are no more."""
        scores, left_out = [], []
        for path in files(self._out):
            for line in path.read_text(encoding="utf-8").splitlines():
                told = json.loads(line)
                if "score" in told:
                    course = tuple(told["score"]["course"])
                    scores.append(Score(**(told["score"] | {"course": course})))
                else:
                    left_out.append(LeftOut(**told["left_out"]))
        return scores, left_out

    def clear(self) -> None:
        """Deletes the files, once what is in them is elsewhere."""
        for path in files(self._out):
            path.unlink()


def files(out: Path) -> list[Path]:
    """Of a run that is under way or was stopped."""
    return sorted(out.glob("scores-*.jsonl"))


def write_results(out: Path, note: str, report: Report, scores: Sequence[Score]) -> None:
    """`results.json` and `table.md`."""
    results = {
        "note": note,
        "left_out": [asdict(one) for one in report.left_out],
        "table": report.rows,
        "expressions": [asdict(one) for one in scores],
    }
    (out / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(report.text(), encoding="utf-8")
