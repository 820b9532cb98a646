"""virst evaluate: how well a model does on a data set, or on synthetic scenes.

    virst evaluate --videos 60
    virst evaluate --stories 100 --mode offline
    virst evaluate --questions 100
    virst evaluate --dataset mevis --root DATA --split valid_u

Without --dataset or --stories, synthetic scenes are streamed, with a query swap. Stories are
scenes in which things happen (virst_model/synthetic/stories.py). A data set's masks are written as
its server takes them, with results.json, table.md and report.html beside them; a run that was
stopped goes on where it was. What had to be left out is named in both, with its reason, and the
exit status is 1. Many GPUs: `accelerate launch -m virst_model evaluate ...`.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
import sys

from accelerate import PartialState
import torch
from tqdm.contrib.logging import logging_redirect_tqdm

from virst_model.arguments import THREADS, Parser, above_0, whole
from virst_model.checkpoints.options import (
    add_model_options,
    add_switches,
    load_switched,
    set_up_logging,
    switched,
    writable,
)
from virst_model.data.catalogue import CATALOGUE, default_split, open_dataset
from virst_model.data.record import reasons
from virst_model.errors import FileError, UsageError, program
from virst_model.evaluate.predict import MODES, Pass
from virst_model.evaluate.protocols import protocol
from virst_model.evaluate.run import PAGE, check_run, run
from virst_model.evaluate.score import markdown
from virst_model.evaluate.sight import (
    BACKWARDS,
    TOKENS,
    SightRun,
    check_reversed,
    describe_reversed,
    measure,
    measure_reversed,
    table,
)
from virst_model.evaluate.synthetic import (
    TRIAL_KINDS,
    SyntheticRun,
    evaluate,
    synthetic_table,
)
from virst_model.evaluate.words import WordsRun, ask_all, summarise
from virst_model.model.virst import Virst
from virst_model.offline.guide import load_scorer
from virst_model.stream.change import add_reground_options
from virst_model.stream.engine import add_engine_option, use_engine
from virst_model.synthetic.photographs import read_photographs
from virst_model.synthetic.splits import SPLITS
from virst_model.synthetic.trajectory import TICK_S
from virst_model.synthetic.trials import OF_PHOTOGRAPHS, TRIALS

# Expressions of an object in Ref-DAVIS17, one a person.
FOUR, OF_FOUR = 4, "ref-davis17"
# Options that say nothing of scenes or stories, and those that say nothing of a data set.
OF_A_DATASET = ("root", "protocol", "annotators", "cases")
OF_SCENES = (
    *("stories", "questions", "videos", "frames", "height", "width"),
    *("clip_tokens", "window", "first", "trial", "photographs"),
)
# Of a stream, of which neither --clip-tokens nor --questions says anything.
OF_STREAMS = (
    *("mode", "fps", "delay", "reground", "reground_after"),
    *("frames", "trial", "photographs"),
)
SIGHT_SCENES = 48  # without --videos and --stories
INCOMPLETE = 1  # exit status: a sample of the data set is in no figure
LEAST_SIDE = 16  # of a synthetic video, in pixels


def _parser() -> Parser:
    parser = Parser(
        prog="virst evaluate",
        description=__doc__,
    )
    parser.add_argument("--dataset", choices=list(CATALOGUE), help="default: synthetic scenes")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the data sets lie")
    parser.add_argument("--split", help="default: the scenes' test, else a data set's second")
    parser.add_argument(
        "--mode", choices=MODES, default="offline", help="of a data set or of stories"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/evaluate"), metavar="DIR", help="what to write into"
    )
    parser.add_argument("--fps", type=above_0, help="of a stream (default: 6; scenes: 10)")
    parser.add_argument("--delay", type=whole(0), default=1, help="frames that a grounding takes")
    add_reground_options(parser)
    parser.add_argument(
        "--annotators",
        type=int,
        choices=(0, FOUR),
        default=0,
        help="4: Ref-DAVIS17's standard protocol, one person's masks exclude each other",
    )
    parser.add_argument(
        "--protocol", default="", help="of reason-seg: released (the default) or lisa"
    )
    parser.add_argument("--cases", type=whole(0), default=40, help="shown in report.html")
    parser.add_argument("--threads", type=THREADS, default=2, help="CPU threads")
    group = parser.add_argument_group("synthetic scenes")
    group.add_argument("--videos", type=whole(1), default=60, help="so many scenes")
    group.add_argument("--stories", type=whole(1), metavar="N", help="so many stories instead")
    group.add_argument(
        "--questions",
        type=whole(1),
        metavar="N",
        help="instead, of weights that answer in words: questions about so many of each world",
    )
    group.add_argument("--frames", type=whole(1), default=60, help="of each video")
    group.add_argument("--height", type=whole(LEAST_SIDE), default=240, help="of a picture")
    group.add_argument("--width", type=whole(LEAST_SIDE), default=320, help="of a picture")
    group.add_argument("--trial", choices=TRIALS, help="scenes of the camera's world instead")
    group.add_argument(
        "--photographs", type=Path, metavar="DIR", help="of --trial photographs and cutouts"
    )
    group.add_argument(
        "--clip-tokens",
        type=_token_names,
        metavar="LIST",
        help=f"does it read the video: masks with clip tokens of {', '.join(TOKENS)}",
    )
    group.add_argument("--window", type=whole(4), default=16, help="frames, of --clip-tokens")
    group.add_argument(
        "--first",
        type=whole(0),
        help="seed of the first video (default: 0; of --clip-tokens 5000)",
    )
    add_switches(parser)
    add_engine_option(parser, "torch")  # figures are not to hang on what is installed
    add_model_options(parser)
    return parser


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where something of a data set was left out, 2 where input or an option cannot
    be used, said in one line.

    What it prints ends with where the results lie.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    set_up_logging()
    torch.set_num_threads(options.threads)
    of_others = parser.changed(options, OF_SCENES if options.dataset else OF_A_DATASET)
    if of_others:
        advice = "leave it out, or --dataset" if options.dataset else "of which --dataset?"
        raise UsageError(f"{of_others[0]}: {advice}")
    if options.dataset:
        return _evaluate_dataset(options)
    if options.questions or options.clip_tokens:
        _refuse_streams(parser, options)
    if options.questions:
        text = _evaluate_words(options)
    elif options.clip_tokens:
        given = parser.changed(options, ["videos"])
        text = _evaluate_sight(options, options.videos if given else SIGHT_SCENES)
    else:
        text = _evaluate_synthetic(options)
    sys.stdout.write(text)
    return 0


def _evaluate_dataset(options: argparse.Namespace) -> int:
    """The exit status: INCOMPLETE where something was left out."""
    if options.root is None:
        raise UsageError(f"--root: where is {options.dataset}?")
    PartialState()  # before a model is loaded: each of several processes takes a GPU of its own
    if options.annotators and options.dataset != OF_FOUR:
        raise UsageError(
            f"--annotators: {options.dataset} has not {FOUR} an object; {OF_FOUR} has"
        )
    split = options.split or default_split(options.dataset)
    how = Pass(
        options.mode,
        options.fps or Pass.fps,
        options.delay,
        options.seed,
        options.annotators,
        options.protocol,
        options.reground,
        options.reground_after,
    )
    try:
        protocol(options.dataset, how.protocol)
    except ValueError as error:
        raise UsageError(f"--protocol: {error}") from None
    records = open_dataset(options.dataset, options.root, split)
    if not records.records:
        why = "; ".join(reasons(records.left_out)) or "it is empty"
        raise FileError(options.root, f"nothing of the split {split} can be used: {why}")
    settings = {"dataset": options.dataset, "split": split, **how.settings()}
    settings |= {name: str(value) for name, value in switched(options).items()}
    settings |= {} if options.engine == "torch" else {"engine": options.engine}
    check_run(options.out, settings | {"model": str(options.model or "tiny")})
    with logging_redirect_tqdm():
        model = _load(options)
        scorer = load_scorer(options, model, whole=options.mode == "offline")
        how = dataclasses.replace(how, scorer=scorer)
        report = run(model, options.dataset, records, options.out, how, options.cases)
    if PartialState().is_main_process:
        where = options.out / PAGE if report.rows else options.out
        sys.stdout.write(f"{report.text()}\n{where}\n")
    return INCOMPLETE if report.left_out else 0


def _load(options: argparse.Namespace) -> Virst:
    return use_engine(load_switched(options), options.engine)


def _token_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = sorted({*names} - {*TOKENS})
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(TOKENS)}")
    return names


def _refuse_streams(parser: Parser, options: argparse.Namespace) -> None:
    """UsageError where an option is given that would change nothing."""
    asked = "--questions" if options.questions else "--clip-tokens"
    others = parser.changed(options, OF_STREAMS)
    if options.stories:
        others += parser.changed(options, ("videos",))
    if options.questions:
        others += parser.changed(options, ("clip_tokens", "window", "videos", "stories"))
    if others:
        raise UsageError(f"{others[0]}: says nothing of {asked}; leave it out")


def _evaluate_sight(options: argparse.Namespace, scenes: int) -> str:
    worlds, videos = ("stories", options.stories) if options.stories else ("scenes", scenes)
    names = [name for name in options.clip_tokens if name != BACKWARDS]
    if BACKWARDS in options.clip_tokens and options.stories:
        raise UsageError(f"--clip-tokens: {BACKWARDS} is of scenes; leave --stories out")
    try:
        how = SightRun(
            worlds,
            options.split or "test",
            SightRun.first if options.first is None else options.first,
            videos,
            options.window,
            tokens=tuple(names),
            height=options.height,
            width=options.width,
        )
        if BACKWARDS in options.clip_tokens:
            check_reversed(how)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    out, model = writable(options.out), _load(options)
    rows = measure(model, how) if names else {}
    results = {"rows": rows}
    text = table(rows) if names else ""
    if BACKWARDS in options.clip_tokens:
        results["reversed"] = measure_reversed(model, how)
        text += describe_reversed(results["reversed"])
    written = _write_json(out, dataclasses.asdict(how) | results)
    return f"{text}\n{written}\n"


def _evaluate_words(options: argparse.Namespace) -> str:
    split = _synthetic_split(options)
    how = WordsRun(
        options.questions,
        split=split,
        first=options.first or 0,
        height=options.height,
        width=options.width,
    )
    out, model = writable(options.out), _load(options)
    answered = list(ask_all(model, how))
    found = summarise(answered)
    said = [dataclasses.asdict(one) | {"right": one.is_right} for one in answered]
    written = _write_json(out, dataclasses.asdict(how) | {"rows": found, "answers": said})
    return f"{markdown(found)}\n{written}\n"


def _evaluate_synthetic(options: argparse.Namespace) -> str:
    how = _synthetic_run(options)
    out, model = writable(options.out), _load(options)
    scorer = load_scorer(options, model, whole=how.mode == "offline")
    results = evaluate(model, how, scorer)
    written = _write_json(out, dataclasses.asdict(how) | results)
    return f"{synthetic_table(results, how)}\n{written}\n"


def _synthetic_run(options: argparse.Namespace) -> SyntheticRun:
    """Scenes are always streamed. UsageError where they or stories cannot be filmed so."""
    chosen = {name: getattr(options, name) for name in ("frames", "height", "width", "delay")}
    split, fps = _synthetic_split(options), options.fps or 10.0
    if options.frames < TICK_S * fps:
        raise UsageError(f"--frames: {options.frames} at {fps:g} a second are under {TICK_S} s")
    chosen |= {"split": split, "fps": fps, "first": options.first or 0}
    chosen |= {"reground": options.reground, "reground_after_s": options.reground_after}
    if options.stories:
        return SyntheticRun("stories", videos=options.stories, mode=options.mode, **chosen)
    worlds = options.trial or "scenes"
    if worlds in OF_PHOTOGRAPHS:
        if options.photographs is None:
            raise UsageError(f"--trial {worlds}: --photographs DIR (virst data photographs)")
        read_photographs(options.photographs, aside=True)  # what is wrong with it, said at once
        chosen["photographs"] = str(options.photographs)
    chosen["kinds"] = TRIAL_KINDS.get(worlds, ())
    return SyntheticRun(worlds, videos=options.videos, mode="streaming", **chosen)


def _synthetic_split(options: argparse.Namespace) -> str:
    split = options.split or "test"
    if split not in SPLITS:
        raise UsageError(f"--split: {split!r} is none of {', '.join(SPLITS)}")
    return split


def _write_json(out: Path, results: dict) -> Path:
    path = out / "results.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return path
