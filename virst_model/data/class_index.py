"""Which classes each label picture of a folder shows, found once and kept beside the folder.

To know it, a picture has to be decoded: minutes for the 118 000 of COCO-Stuff. So
`FOLDER.classes.json` holds what was found, {file's name without suffix: [values]}. Pictures that
it lacks are looked at when it is read; delete it after label pictures were changed in place.
"""

from concurrent.futures import ThreadPoolExecutor
import json
import logging
import os
from pathlib import Path
import tempfile

import numpy as np
from tqdm import tqdm

from virst_model.data.coco import form_of
from virst_model.data.picture import names_in, read_labels
from virst_model.errors import FileError
from virst_model.text_file import read_json

Index = dict[str, list[int]]

THREADS = 4

_log = logging.getLogger(__name__)


def index_classes(folder: Path) -> tuple[Index, list[str]]:
    """The values in every label picture (*.png) of `folder`, ascending, and which are damaged.

    Looks at pictures that are new with a progress bar, and writes the index where that is allowed.

    Raises:
        FileError: there is no such folder, or its index is damaged.
    """
    path = folder.with_name(f"{folder.name}.classes.json")
    stems = sorted(name[:-4] for name in names_in(folder, "label pictures") if name[-4:] == ".png")
    known = _read(path) if path.exists() else {}
    new = [stem for stem in stems if stem not in known]
    looked_at = dict(known)
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(_values, (folder / f"{stem}.png" for stem in new))
        title, hidden = f"classes of {folder}", None if new else True
        bar = tqdm(found, title, len(new), unit="picture", disable=hidden)
        looked_at |= {stem: values for stem, values in zip(new, bar) if values is not None}
    index = {stem: looked_at[stem] for stem in stems if stem in looked_at}
    if index != known:
        _write(path, index)
    return index, [stem for stem in stems if stem not in index]


def _values(path: Path) -> list[int] | None:
    """What is in a label picture, ascending; None, with a warning, where it is damaged."""
    try:
        labels_HW = read_labels(path)
    except FileError as error:
        _log.warning("%s", error)
        return None
    if labels_HW.dtype == np.uint8:  # counted, which takes a third of the time of sorting
        return np.flatnonzero(np.bincount(labels_HW.ravel())).tolist()
    return np.unique(labels_HW).tolist()


def _read(path: Path) -> Index:
    index = read_json(path)
    with form_of(path):
        return {stem: [int(value) for value in values] for stem, values in index.items()}


def _write(path: Path, index: Index) -> None:
    """In one step: several processes may be at it."""
    try:
        handle, part = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(index, file, separators=(",", ":"))
        os.replace(part, path)
    except OSError as error:
        _log.warning("%s: not kept for the next time (%s)", path, error.strerror)
