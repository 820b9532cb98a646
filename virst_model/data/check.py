"""What lies under ROOT: each split of each data set, what it holds, what it lacks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from virst_model.data.catalogue import CATALOGUE, is_missing, locate
from virst_model.data.record import LeftOut, Record, reasons
from virst_model.errors import FileError
from virst_model.image_file import read_image

# Of every split so many pictures are decoded, evenly spread; a mask of every record is.
LOOKED_AT = 3
THREADS = 4


@dataclass(frozen=True)
class Finding:
    """What became of a split.

    Attributes:
        dataset, split: their names.
        folder: of the data set, or None where there is none.
        records, expressions: how many.
        left_out: what is not among them.
        missing: the file that the split lacks, and why it matters; or empty.
        broken: what is damaged, in one line; or empty.
    """

    dataset: str
    split: str
    folder: Path | None = None
    records: int = 0
    expressions: int = 0
    left_out: tuple[LeftOut, ...] = ()
    missing: str = ""
    broken: str = ""


def check(root: Path) -> list[Finding]:
    """Looks at every split, and reads a mask of each of its records, with a progress bar."""
    places = [(name, split) for name, dataset in CATALOGUE.items() for split in dataset.splits]
    return [_look(name, split, root) for name, split in places]


def is_good(findings: list[Finding]) -> bool:
    """Whether there is something to use and nothing is damaged."""
    return any(f.records for f in findings) and not any(f.broken for f in findings)


def describe(findings: list[Finding]) -> Iterator[str]:
    """Lines for a person, data set by data set."""
    for name, dataset in CATALOGUE.items():
        splits = [finding for finding in findings if finding.dataset == name]
        folder = splits[0].folder
        where = str(folder) if folder else f"not found ({' or '.join(dataset.folders)})"
        yield f"{name} [{dataset.category}]: {where}"
        if folder:
            for finding in splits:
                yield f"  {finding.split}: {_state(finding)}"
                for line in reasons(finding.left_out):
                    yield f"    left out {line}"
    there = {f.dataset for f in findings if f.records}
    broken = {f.dataset for f in findings if f.broken}
    yield f"{len(there)} of {len(CATALOGUE)} data sets found, {len(broken)} damaged"


def _look(name: str, split: str, root: Path) -> Finding:
    folder = locate(name, root)
    if folder is None:
        return Finding(name, split)
    try:
        records = CATALOGUE[name].load(folder, split)
    except FileError as error:
        kind = "missing" if is_missing(error) else "broken"
        return Finding(name, split, folder, **{kind: str(error)})
    return Finding(
        name,
        split,
        folder,
        records=len(records.records),
        expressions=records.expressions,
        left_out=tuple(records.left_out),
        broken=_damage(f"{name} {split}", records.records),
    )


def _damage(title: str, records: list[Record]) -> str:
    """What is wrong with the first record that is damaged, and how many more are; or empty."""
    count = len(records)
    decoded = {count * i // LOOKED_AT for i in range(LOOKED_AT)}
    with ThreadPoolExecutor(THREADS) as pool:
        looks = pool.map(_fault, records, (index in decoded for index in range(count)))
        bar = tqdm(looks, title, count, unit="record", leave=False, disable=None)
        first, *others = [fault for fault in bar if fault] or [""]
    return f"{first} (and {len(others)} more)" if others else first


def _fault(record: Record, decode: bool) -> str:
    """What is wrong with a record's first mask and, where it is to be decoded, its first frame."""
    try:
        if decode:
            read_image(record.frames[0])
        for expression in record.expressions[:1]:
            if expression.mask is not None:
                expression.mask(0)
    except FileError as error:
        return str(error)
    return ""


def _state(finding: Finding) -> str:
    if finding.missing:
        return f"missing: {finding.missing}"
    if finding.broken:
        return f"DAMAGED: {finding.broken}"
    return f"{finding.records} records, {finding.expressions} expressions"
