"""virst compare: several models on all that a model card tells of synthetic worlds.

    virst compare                                 the packaged weights alone
    virst compare OLD NEW --photographs DIR

Each folder of weights is measured on the same worlds: scenes and stories in a stream (two ranges
of seeds), the trials of the camera's world, and what becomes of masks with other clip tokens. What
was measured is kept below --out, so that a run that was stopped goes on where it was. Of the last
model the table has the difference from the first, with its standard error over pairs of sentences.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
import functools
import hashlib
import json
from pathlib import Path
import sys

import numpy as np
import torch
from tqdm.contrib.logging import logging_redirect_tqdm

from virst_model.arguments import THREADS, Parser, above_0
from virst_model.checkpoints.folder import CONFIG_FILE, WEIGHTS_FILE
from virst_model.checkpoints.load import TINY, load
from virst_model.checkpoints.options import set_up_logging, writable
from virst_model.errors import FileError, UsageError, program
from virst_model.evaluate import sight, synthetic
from virst_model.evaluate.sight import SightRun
from virst_model.evaluate.synthetic import SyntheticRun
from virst_model.model.virst import Virst
from virst_model.synthetic.photographs import read_photographs
from virst_model.synthetic.trials import OF_PHOTOGRAPHS, TRIALS

# Percent, one of each sentence or event, by the name of a row.
Values = dict[str, list[float]]
SECOND_SEEDS = 1000  # where the second range of seeds begins, after the first one's beginning
# A row falls where it falls by more than this, and by more than its standard error.
FALLS = 2.0
_FORMAT = b"2"  # of what is kept: another one where measures have other rows
# Clip tokens that say nothing of the video: a model that reads it is worse with them.
BLIND = tuple(tokens for tokens in sight.TOKENS if tokens != "own")


def measures(
    photographs: Path | None = None, share: float = 1.0
) -> dict[str, Callable[[Virst], Values]]:
    """What is measured, by name.

    Args:
        photographs: as `virst data photographs` makes it; without, the trials that need some are
            left out.
        share: of the videos of each measure, above 0; at least two of each.
    """

    def some(videos: int) -> int:
        return max(2, round(videos * share))

    found: dict[str, Callable[[Virst], Values]] = {}
    for first in (0, SECOND_SEEDS):
        for worlds, videos in (("scenes", 60), ("stories", 200)):
            run = SyntheticRun(worlds, videos=some(videos), first=first)
            found[f"{worlds} from {first}"] = functools.partial(_stream, run=run)
    for name in TRIALS:
        if photographs or name not in OF_PHOTOGRAPHS:
            folder = str(photographs) if name in OF_PHOTOGRAPHS else ""
            kinds = synthetic.TRIAL_KINDS.get(name, ())
            run = SyntheticRun(name, videos=some(60), photographs=folder, kinds=kinds)
            found[f"trial {name}"] = functools.partial(_stream, run=run)
    for first in (SightRun.first, SightRun.first + SECOND_SEEDS):
        run = SightRun(first=first, videos=some(48))
        found[f"clip tokens, scenes from {first}"] = functools.partial(_sight, run=run)
    for window in sight.WINDOWS:
        if window != SightRun.window:
            run = SightRun(window=window, videos=some(48))
            found[f"clip tokens, windows of {window}"] = functools.partial(_sight, run=run)
    run = SightRun("stories", videos=some(48))
    found["clip tokens, stories"] = functools.partial(_sight, run=run)
    found["clip tokens, reversed"] = functools.partial(_reversed, run=SightRun(videos=some(48)))
    return found


def compare(
    folders: Sequence[Path], chosen: dict[str, Callable[[Virst], Values]], out: Path
) -> dict[str, list[Values]]:
    """The values of each measure, model by model; those that lie in `out` are not made again."""
    results: dict[str, list[Values]] = {name: [] for name in chosen}
    for folder in folders:
        files = (folder / CONFIG_FILE, folder / WEIGHTS_FILE)
        digest = hashlib.sha256(_FORMAT + b"".join(map(_read, files))).hexdigest()[:12]
        model = functools.cache(functools.partial(load, folder))
        for name, measure in chosen.items():
            kept = out / digest / f"{name.replace(', ', '-').replace(' ', '-')}.json"
            if not kept.exists():
                values = measure(model())
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.with_suffix(".part").write_text(json.dumps(values) + "\n", encoding="utf-8")
                kept.with_suffix(".part").rename(kept)
            results[name].append(json.loads(kept.read_text(encoding="utf-8")))
    return results


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror})") from None


def table(results: dict[str, list[Values]], names: Sequence[str]) -> str:
    """Markdown: a row's number and each model's mean; the last one's difference from the first."""
    lines = [f"| | number | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    if len(names) > 1:
        lines = [f"{lines[0]} difference | error |", lines[1] + "---|---|"]
    fallen = []
    for name, row, columns in _rows(results):
        means = [float(np.mean(values)) for values in columns]
        cells = [str(len(columns[0])), *(f"{mean:.1f}" for mean in means)]
        if len(names) > 1:
            difference, error = difference_of(columns[0], columns[-1])
            cells += [f"{difference:+.1f}", f"{error:.1f}"]
            if difference < -max(FALLS, error) and row.rpartition(", ")[2] not in BLIND:
                fallen.append(f"{name}: {row}")
        lines.append(f"| {name}: {row} | {' | '.join(cells)} |")
    if len(names) > 1:
        what = "; ".join(fallen) or "nothing"
        lines += ["", f"By more than {FALLS:g} and the standard error falls: {what}."]
    return "\n".join(lines) + "\n"


def difference_of(first: Sequence[float], last: Sequence[float]) -> tuple[float, float]:
    """The mean difference and its standard error: of pairs, where there are as many of both.

    Of events, such as returns, each model may have its own; of one number alone nothing is known.
    """
    if len(first) == len(last):
        each = np.subtract(last, first)
        return float(each.mean()), _error(each)
    return float(np.mean(last) - np.mean(first)), float(np.hypot(_error(first), _error(last)))


def _error(values: Sequence[float]) -> float:
    count = len(values)
    return float(np.std(values, ddof=1) / count**0.5) if count > 1 else float("nan")


def _rows(results: dict[str, list[Values]]) -> Iterator[tuple[str, str, list[list[float]]]]:
    for name, models in results.items():
        for row in models[0]:
            columns = [values.get(row, []) for values in models]
            if all(columns):
                yield name, row, columns


def _percent(scores: Sequence[tuple[float, float, float]]) -> list[float]:
    return [50 * (j + f) for j, f, _ in scores]


def _stream(model: Virst, run: SyntheticRun) -> Values:
    tally = synthetic.count(model, run)
    values = {kind: _percent(scores) for kind, scores in sorted(tally.scores.items())}
    there = {kind: each for kind, each in values.items() if kind != "none"}
    values["what is there"] = [value for each in there.values() for value in each]
    values["overall"] = [*values["what is there"], *values.get("none", ())]
    events = synthetic.events(tally).items()
    return values | {name: [100 * float(v) for v in each] for name, each in events if each}


def _sight(model: Virst, run: SightRun) -> Values:
    """By kind and over all, tokens and logits; and own ones less the better of the others."""
    values: Values = {}
    for kind, tokens in sorted(sight.collect(model, run).items()):
        for logits in sight.LOGITS:
            each = {name: 100 * np.array(tokens[name][logits]) for name in tokens}
            for name, ious in each.items():
                values[f"{kind}, {logits}, {name}"] = ious.tolist()
            other = max((each[name] for name in each if name != "own"), key=np.mean)
            values[f"{kind}, {logits}, margin"] = (each["own"] - other).tolist()
    return values


def _reversed(model: Virst, run: SightRun) -> Values:
    hits = sight.collect_reversed(model, run)
    return {name: [100.0 * hit for hit in each] for name, each in hits.items()}


def _parser() -> Parser:
    parser = Parser(prog="virst compare", description=__doc__)
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="DIR", help="folders of weights, the old one first"
    )
    parser.add_argument(
        "--photographs", type=Path, metavar="DIR", help="of the trials before photographs"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="measures whose names have this text"
    )
    parser.add_argument("--share", type=above_0, default=1.0, help="of the videos of each measure")
    parser.add_argument(
        "--out", type=Path, default=Path("out/compare"), metavar="DIR", help="what is kept"
    )
    parser.add_argument("--threads", type=THREADS, default=2, help="CPU threads")
    return parser


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where input or an option cannot be used, said in one line."""
    options = _parser().parse_args(arguments)
    set_up_logging()
    torch.set_num_threads(options.threads)
    text = _compare(options)
    sys.stdout.write(text)
    return 0


def _compare(options: argparse.Namespace) -> str:
    if options.photographs:
        read_photographs(options.photographs, aside=True)  # what is wrong with it, said at once
    found = measures(options.photographs, options.share)
    chosen = {name: measure for name, measure in found.items() if options.only in name}
    if not chosen:
        raise UsageError(f"--only: {options.only!r} is in none of {', '.join(found)}")
    folders = options.models or [TINY]
    out = writable(options.out / f"share-{options.share:g}")
    with logging_redirect_tqdm():
        text = table(compare(folders, chosen, out), [str(folder) for folder in folders])
    (out / "table.md").write_text(text, encoding="utf-8")
    return f"{text}\n{out / 'table.md'}\n"


if __name__ == "__main__":
    sys.exit(main())
