"""The folder of graphs does not grow without end."""

import os
import time

from virst_model.stream import graphs
from virst_model.stream.graphs import GraphCache


def test_what_nobody_asks_for_any_more_goes_when_something_new_is_kept(tmp_path):
    cache, of_others, unused = (
        GraphCache(tmp_path),
        tmp_path / "of_others.txt",
        2 * graphs.UNUSED_S,
    )
    of_others.write_text("not a graph")
    for name in ("old", "used"):
        cache.keep(name, name.encode())
    killed = tmp_path / "x.part"
    killed.touch()
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - unused, time.time() - unused))
    assert cache.find("used") == b"used"

    cache.keep("new", b"new")

    assert [cache.find(name) for name in ("old", "used", "new")] == [None, b"used", b"new"]
    assert of_others.exists() and not killed.exists()
