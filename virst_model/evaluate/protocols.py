"""How each data set is scored and handed in, as data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
import os
from pathlib import Path
import tempfile
import zipfile

from virst_model.data.record import MaskReader, Record, Records
from virst_model.evaluate.predictions import Predictions
from virst_model.evaluate.score import Row, Score, image_row, video_row


@dataclass(frozen=True)
class Protocol:
    """A data set's own rules.

    Attributes:
        row: what is printed of some scores.
        parts: kinds whose mean is "overall"; none: all expressions.
        archive: name of the zip that its server takes; empty: there is none.
        inside: folder within the zip; MeViS takes the videos' folders at the top.
        note: which of several usual protocols this is.
        first_text: only the first of a record's sentences is asked.
        leaves_out: pixels that the record says are ignored do not count.
    """

    row: Callable[[Sequence[Score]], Row] = video_row
    parts: tuple[str, ...] = ()
    archive: str = ""
    inside: str = ""
    note: str = "J and F an expression over all frames, then the mean over expressions."
    first_text: bool = False
    leaves_out: bool = False

    def asked(self, records: Records) -> Records:
        """The records with those of their sentences that the protocol asks; counts as before."""
        if not self.first_text:
            return records
        kept = [replace(r, expressions=r.expressions[:1]) for r in records.records]
        return replace(records, records=kept)

    def ignored(self, record: Record) -> MaskReader | None:
        """Pixels of the record that do not count, if any."""
        return record.ignored if self.leaves_out else None


_IMAGES = Protocol(row=image_row, note="One mask a sentence: gIoU over images, cIoU over pixels.")
PROTOCOLS = {
    "mevis": Protocol(archive="mevis.zip"),
    "ref-youtube-vos": Protocol(archive="ref-youtube-vos.zip", inside="Annotations"),
    "ref-davis17": Protocol(
        note="J and F an expression (as the released code); the protocol of four annotators, "
        "whose figures are not comparable, is --annotators 4."
    ),
    "revos": Protocol(
        parts=("referring", "reasoning"),
        note="Overall is the mean of referring and reasoning; A and R on 0/1 masks.",
    ),
    "refcoco": _IMAGES,
    "refcoco+": _IMAGES,
    "refcocog": _IMAGES,
}
# Several of one data set, the default first.
NAMED = {
    "reason-seg": {
        "released": replace(
            _IMAGES,
            note="One mask a sentence, of every sentence; ignored regions are background (as the "
            "released loaders): gIoU over sentences, cIoU over pixels.",
        ),
        "lisa": replace(
            _IMAGES,
            note="One mask an image, of its first sentence; ignored regions do not count (as "
            "LISA): gIoU over images, cIoU over pixels.",
            first_text=True,
            leaves_out=True,
        ),
    },
}


def protocol(dataset: str, name: str = "") -> Protocol:
    """The protocol of a data set; that of videos where it has none of its own.

    Args:
        name: of one of several; the default where it is empty.

    Raises:
        ValueError: the data set has none of that name.
    """
    named = NAMED.get(dataset, {"": PROTOCOLS.get(dataset, Protocol())})
    name = name or next(iter(named))
    if name not in named:
        known = ", ".join(filter(None, named)) or "its own alone"
        raise ValueError(f"{dataset} has no protocol {name!r}; known: {known}")
    return named[name]


def pack(
    predictions: Predictions, records: Iterable[Record], archive: Path, inside: str = ""
) -> None:
    """Zips the masks of all expressions as servers take it, `INSIDE/VIDEO/EXPRESSION/FRAME.png`.

    What else lies in the folder of masks stays out. The zip appears when it is complete; OSError
    where a mask is not there, or the zip cannot be written.
    """
    files = [
        file
        for record in records
        for expression in record.expressions
        for file in predictions.files(record, expression)
    ]
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{archive.name}-") as folder:
        part = Path(folder) / archive.name
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as packed:
            for file in files:
                packed.write(file, Path(inside) / file.relative_to(predictions.masks))
        os.replace(part, archive)
