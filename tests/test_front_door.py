"""virst VERB: every program behind one door."""

import argparse
import importlib
from importlib.metadata import EntryPoint
import importlib.util
from pathlib import Path
import re
import runpy
import shlex
import subprocess
import sys

import pytest

from virst_model.__main__ import GROUP, VERBS, main
from virst_model.arguments import Parser

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = [(verb,) for verb in VERBS] + [("data", "check"), ("data", "synthetic")]


class ParsedError(Exception):
    """An example was understood."""


def helped(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_every_verb_is_named_in_a_line(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()

    for verb in VERBS:
        (line,) = [line for line in lines if line.split()[:1] == [verb]]
        assert len(line.split()) > 2


def test_without_a_verb_the_verbs_are_shown(capsys):
    assert main([]) == 0
    assert "segment" in capsys.readouterr().out


def test_a_verb_that_is_not_there_is_one_line_with_those_that_are(capsys):
    assert main(["sgement"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no verb 'sgement'; there are segment, ask")
    assert said.count("\n") == 1


def examples(text: str, verb: str) -> list[list[str]]:
    """The words after the verb of every example, less what is said of it behind."""
    whole = re.sub(r"\\\n\s*", "", text)
    lines = re.findall(rf"^\s*virst {verb} (\S.*)", whole, re.MULTILINE)
    return [shlex.split(re.split(r"\s{2,}|: ", line)[0]) for line in lines]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_a_verb_is_called_after_it_and_has_an_example_that_can_be_typed(
    words, capsys, monkeypatch
):
    text = helped(capsys, *words)
    assert text.startswith(f"usage: virst {' '.join(words)} ")

    def parse(self: Parser, typed: list[str]) -> None:
        argparse.ArgumentParser.parse_args(self, typed)
        raise ParsedError

    monkeypatch.setattr(Parser, "parse_args", parse)
    typed = examples(text, " ".join(words))
    assert typed
    for example in typed:
        with pytest.raises(ParsedError):
            main([*words, *example])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_a_verb_says_something_and_the_default_of_every_option(words, capsys, monkeypatch):
    made: list[Parser] = []
    created = Parser.__init__
    monkeypatch.setattr(
        Parser, "__init__", lambda self, **named: (created(self, **named), made.append(self))[0]
    )
    helped(capsys, *words)

    options = [(parser, o) for parser in made for o in parser._actions if o.option_strings]
    for parser, option in options:
        assert option.help, option.option_strings
        if not option.default or option.default is argparse.SUPPRESS:
            continue  # nothing, or off
        text = parser._get_formatter()._expand_help(option)
        assert "default" in text, option.option_strings
        assert not re.search(r"default: [\[(]", text), "not as it is typed"


def test_other_verbs_are_not_imported():
    code = "import sys; from virst_model.__main__ import main; main(['--help']); "
    code += "sys.exit(bool({'torch', 'accelerate', 'cv2', 'numpy'} & {*sys.modules}))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_has_a_program(verb):
    assert callable(importlib.import_module(verb.module).main)


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """offer("greet = other:GREET", code) -> another package is installed, with a verb."""

    def install(entry_point: str, code: str = "") -> None:
        folder = tmp_path / "other-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_point}\n")
        (tmp_path / "other.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "other", raising=False)

    return install


GREET = """
import sys
from virst_model.verb import Verb

GREET = Verb("other", "greets", ("hello",))
FAR = Verb("not_there", "is far", needs="what is not there")


def main(words):
    sys.stdout.write(" ".join(words))
    return 7
"""


def test_another_packages_verb_is_shown_and_run(offer, capsys):
    offer("greet = other:GREET", GREET)
    assert main(["--help"]) == 0
    assert "  greet     greets" in capsys.readouterr().out.splitlines()

    assert main(["greet", "you"]) == 7
    assert capsys.readouterr().out == "hello you"


def test_another_packages_verb_does_not_take_the_place_of_ours(offer, capsys):
    offer("ask = other:GREET", GREET)
    assert main(["--help"]) == 0
    assert "greets" not in capsys.readouterr().out


@pytest.mark.parametrize("where", ["other:NOTHING", "not_there:GREET", "other:main"])
def test_a_verb_that_does_not_load_is_named_and_the_others_are_there(offer, capsys, where):
    offer(f"greet = {where}", GREET)
    assert main(["--help"]) == 0
    assert "segment" in capsys.readouterr().out

    assert main(["greet"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: virst greet cannot be used: its package's {where} does not")
    assert said.count("\n") == 1


def test_a_verb_whose_needs_are_not_there_names_them(offer, capsys):
    offer("far = other:FAR", GREET)
    assert main(["far"]) == 2
    said = capsys.readouterr().err
    assert said == "error: virst far needs what is not there (No module named 'not_there')\n"


def test_the_verbs_of_the_node_are_entry_points(monkeypatch):
    described: dict = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", described.update)
    runpy.run_path("setup.py")
    points = [EntryPoint(*line.split(" = "), GROUP) for line in described["entry_points"][GROUP]]

    assert {"camera", "query"} <= {point.name for point in points}
    for point in points:
        verb = point.load()
        assert importlib.util.find_spec(verb.module) and verb.needs
        assert point.name not in VERBS
