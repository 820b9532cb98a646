"""virst VERB: every program behind one door."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys

import pytest

from virst_model.__main__ import VERBS, main
from virst_model.arguments import Parser

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
