"""Arguments off their defaults, and who gave them."""

from __future__ import annotations

from virst_ros.origins import off_default

DEFAULTS = {"model": "", "namespace": "virst", "image": "image", "query": ""}


def test_defaults_are_not_listed():
    assert off_default(DEFAULTS, DEFAULTS, []) == []
    assert off_default({}, DEFAULTS, ["gui:=true"]) == []


def test_what_was_typed_is_told_from_what_another_file_gave():
    given = {"query": "a:=b", "namespace": "", "model": "detector.pt", "gui": "true"}

    assert off_default(given, DEFAULTS, ["query:=a:=b", "namespace:=front", "gui:=true"]) == [
        "model:='detector.pt' (another launch file)",
        "namespace:='' (another launch file)",
        "query:='a:=b' (command line)",
    ]


def test_a_long_and_dirty_value_is_one_short_line():
    (line,) = off_default({"query": "\x1b[2J\n" + "x" * 10**5}, DEFAULTS, [])

    assert line.isprintable() and len(line) < 200
