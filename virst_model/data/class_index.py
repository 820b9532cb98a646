"""Which classes each label picture of a folder shows, found once and kept beside the folder.

To know it, a picture has to be decoded: minutes for the 118 000 of COCO-Stuff. So
`FOLDER.classes.json` holds what was found, {file's name without suffix: [values]}. Pictures that
it lacks are looked at when it is read; delete it after label pictures were changed in place.
"""

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
    for stem in tqdm(new, f"classes of {folder}", disable=None if new else True):
        try:
            looked_at[stem] = np.unique(read_labels(folder / f"{stem}.png")).tolist()
        except FileError as error:
            _log.warning("%s", error)
    index = {stem: looked_at[stem] for stem in stems if stem in looked_at}
    if index != known:
        _write(path, index)
    return index, [stem for stem in stems if stem not in index]


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
