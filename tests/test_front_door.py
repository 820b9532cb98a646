"""virst VERB: every program behind one door."""

import argparse
import importlib
import re
import subprocess
import sys

import pytest

from virst_model.__main__ import VERBS, main
from virst_model.arguments import Parser

# No options of their own: those of a second word.
OF_TWO_WORDS = ("data",)


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


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_is_called_after_it_and_has_an_example(verb, capsys):
    said = helped(capsys, verb)

    assert said.startswith(f"usage: virst {verb} ")
    assert len(re.findall(rf"^\s*virst {verb} \S+", said, re.MULTILINE)) >= 1


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in OF_TWO_WORDS])
def test_help_of_a_verb_has_the_default_of_every_option(verb, capsys, monkeypatch):
    made: list[Parser] = []
    created = Parser.__init__
    monkeypatch.setattr(
        Parser, "__init__", lambda self, **told: (created(self, **told), made.append(self))[0]
    )
    helped(capsys, verb)

    options = [(parser, one) for parser in made for one in parser._actions if one.option_strings]
    for parser, option in options:
        if not option.default or option.default is argparse.SUPPRESS:
            continue  # nothing, or off
        said = parser._get_formatter()._expand_help(option) if option.help else ""
        assert "default" in said, option.option_strings


def test_other_verbs_are_not_imported():
    code = "import sys; from virst_model.__main__ import main; main(['--help']); "
    code += "sys.exit(bool({'torch', 'accelerate', 'cv2'} & {*sys.modules}))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_has_a_program(verb):
    assert callable(importlib.import_module(verb.module).main)
