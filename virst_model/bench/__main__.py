"""virst bench: mask rate, latency, parts and memory of a model on this machine.

virst bench                                  the packaged model
virst bench --preset 7b --random-weights --json bench.json
virst bench --growth docs/growth             plots of what grows with what
virst bench --profile trace.json             a frame, operator by operator
virst bench --preset 7b --estimate           memory of a device, without one
"""

import argparse
from collections.abc import Callable, Sequence
import dataclasses
import functools
import json
from pathlib import Path
import sys

from tokenizers import Tokenizer
import torch
from tqdm import tqdm

from virst_model.arguments import THREADS, Parser, above_0, whole, width_by_height
from virst_model.bench import engines, growth, measure
from virst_model.bench.answering import answering
from virst_model.bench.engines import twin_of
from virst_model.bench.footprint import estimate_table, footprint
from virst_model.bench.pace import pace
from virst_model.bench.profile import profile_frames, profile_table
from virst_model.bench.start import start_cpu_s
from virst_model.checkpoints.load import TINY, empty, settle, weights_bytes
from virst_model.checkpoints.options import (
    add_model_options,
    chosen_device,
    device_option,
    load_model,
    writable,
)
from virst_model.checkpoints.room import check_room, default_dtype, dtype_of
from virst_model.checkpoints.switches import with_behaviour
from virst_model.config import behaviour, full, tiny
from virst_model.errors import UsageError, program
from virst_model.model import quantized
from virst_model.model.machine import measured_on, peak_mib, reset_peak, share_of_peak, work
from virst_model.model.virst import Virst
from virst_model.stream.change import add_reground_options
from virst_model.stream.compiled import compile_frames
from virst_model.stream.engine import add_engine_option, engine_of, use_engine
from virst_model.stream.grounder import check_stream
from virst_model.stream.options import SessionOptions

PRESETS = {"tiny": tiny, "7b": full}
# What is measured where nobody says it: size of the camera's frames, and queries at a time.
SIZES = {"tiny": (640, 480), "7b": (1024, 1024)}
QUERIES = {"tiny": [1], "7b": [1, 4]}
FRAMES = {"tiny": 150, "7b": 60}  # all of the 7B's is to end in ten minutes
PRESENT = 5.0  # object score of random weights: there is something to follow


def random_model(
    preset: str, device: str, dtype: torch.dtype | None = None, quantize: str = "off"
) -> Virst:
    """A preset with random weights, made where it runs; it always sees an object.

    Args:
        preset: of PRESETS.
        device: as torch takes it.
        dtype: by default as `load` has it.
        quantize: as `load` has it.

    Raises:
        DeviceError: the device has no room for them.
    """
    model = empty(PRESETS[preset](), Tokenizer.from_file(str(TINY / "tokenizer.json")))
    dtype = dtype or default_dtype(sum(p.numel() for p in model.parameters()), device)
    check_room(weights_bytes(model, dtype), dtype, device)
    generator = torch.Generator(device).manual_seed(0)
    values = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("bias"):
            value = torch.zeros(tensor.shape, device=device, dtype=dtype)
        elif tensor.ndim == 1:
            value = torch.ones(tensor.shape, device=device, dtype=dtype)
        else:
            value = torch.empty(tensor.shape, device=device, dtype=dtype)
            value.normal_(0.0, 0.02, generator=generator)
        values[name] = value
    model.load_state_dict(values, assign=True)
    head = model.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1]
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, PRESENT)
    if quantize == "int8":
        quantized.quantize(model.vlm.llm)
    return settle(model, device, dtype)


def bench(
    model: Virst,
    load: measure.Load,
    modes: Sequence[str],
    counts: Sequence[int],
    engine: str = "torch",
    rounds: int = 0,
    released: bool = False,
    keep: Callable[[dict], None] = lambda results: None,
) -> dict:
    """All that is measured, as JSON has it.

    Parts and their work are those of the model as it is; the rest is measured of one whose frames
    are run by `engine`, as `use_engine` takes it, or "compiled", which `model` is afterwards.
    `rounds`: of the comparison of engines, on a CPU; 0 is none. `released`: also, by torch as it
    is, of the same weights with the released behaviour. `keep`: is given what there is so far,
    after each figure that takes long.
    """
    other = with_behaviour(twin_of(model), **vars(behaviour("released")))
    results: dict = {
        "machine": measured_on(model),
        "load": dataclasses.asdict(load),
        "queries": {},
    }
    options = SessionOptions()
    results["gflop"] = work(model, options.window_size)
    loads = {str(count): dataclasses.replace(load, queries=count) for count in counts}
    sync = dataclasses.replace(options, sync=True)
    streaming = "streaming" in modes
    parts = {}
    for count, queried in tqdm(loads.items() if streaming else (), desc="parts", leave=False):
        parts[count] = measure.parts(model, queried, sync)
    if rounds and streaming and model.device.type == "cpu":
        results["cpu_ms_a_frame"] = {
            count: engines.cpu_ms(model, queried, rounds)
            for count, queried in tqdm(loads.items(), desc="engines", leave=False)
        }
    if engine == "compiled":
        compile_frames(model)
    else:
        use_engine(model, engine)
    results["machine"]["engine"] = engine if engine == "compiled" else engine_of(model)
    for count, queried in tqdm(loads.items(), desc="queries", leave=False):
        results["queries"][count] = numbers = _of_queries(model, queried, modes)
        if streaming:
            numbers["parts"] = parts[count]
        keep(results)
        if released:
            theirs = _of_queries(other, queried, modes)
            numbers |= {f"released: {name}": value for name, value in theirs.items()}
            keep(results)
    peak = max(numbers["peak_mib"] for numbers in results["queries"].values())
    results["memory"] = measure.memory(model, peak)
    results["start_cpu_s"] = {"virst --help": start_cpu_s("--help")}
    fps = results["queries"][str(counts[0])].get("max_fps")
    if fps:
        device = str(results["machine"]["device"])
        results["percent_of_peak"] = share_of_peak(device, results["gflop"]["frame"], 1 / fps)
    return results


def _of_queries(model: Virst, load: measure.Load, modes: Sequence[str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    reset_peak(model.device)
    if "streaming" in modes:
        options = SessionOptions(
            max_queries=load.queries,
            reground=load.reground,
            reground_after_s=load.reground_after_s,
        )
        numbers |= measure.streaming(model, load, options) | pace(model, load)
        numbers |= answering(model, load)
    if "offline" in modes:
        numbers |= measure.offline(model, load)
    numbers["peak_mib"] = peak_mib(model.device)
    return numbers


def bench_table(results: dict) -> str:
    """For people: a column for each number of queries, then the parts, then memory."""
    counts = list(results["queries"])
    names = [n for n in results["queries"][counts[0]] if n != "parts"]
    lines = [" ".join(f"{key} {value}" for key, value in results["machine"].items()), ""]
    lines.append("| |" + "|".join(f" {c} queries " for c in counts) + "|")
    lines.append("|---" * (len(counts) + 1) + "|")
    for name in names:
        cells = [f" {results['queries'][c][name]:.1f} " for c in counts]
        lines.append(f"| {name} |" + "|".join(cells) + "|")
    parts = results["queries"][counts[0]].get("parts", {})
    if parts:
        lines += ["", "| part | ms a call | calls a frame | ms a frame |", "|---|---|---|---|"]
    for part, times in sorted(parts.items(), key=lambda item: -item[1]["ms a frame"]):
        numbers = (times["ms a call"], times["calls a frame"], times["ms a frame"])
        lines.append(f"| {part} |" + "|".join(f" {number:.2f} " for number in numbers) + "|")
    lines += _engines_table(results.get("cpu_ms_a_frame", {}))
    lines += ["", *(f"{name}: {value:.0f}" for name, value in results["memory"].items())]
    estimates = results.get("estimate_mib", {})
    lines += [f"estimated, {n} queries: {of['all']:.0f} MiB" for n, of in estimates.items()]
    starts = results["start_cpu_s"].items()
    lines += [f"CPU seconds of `{name}`: {seconds:.2f}" for name, seconds in starts]
    gflop = ", ".join(f"{name} {value:.1f}" for name, value in results["gflop"].items())
    lines.append(f"GFLOP: {gflop}")
    share = results.get("percent_of_peak")
    if share is not None:
        lines.append(f"percent of the device's peak at the fastest rate: {share:.1f}")
    return "\n".join(lines) + "\n"


def _engines_table(costs: dict[str, dict[str, float]]) -> list[str]:
    """A row for each engine, and one for sam2's own predictor; a column for each count."""
    if not costs:
        return []
    lines = ["", "| CPU-ms a frame |" + "|".join(f" {count} queries " for count in costs) + "|"]
    lines.append("|---" * (len(costs) + 1) + "|")
    for name in next(iter(costs.values())):
        cells = [f" {of[name]:.1f} " for of in costs.values()]
        lines.append(f"| {name} |" + "|".join(cells) + "|")
    return lines


def _counts(text: str) -> list[int]:
    counts = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= count <= 16 for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of 1..16, as 1,4,16")
    return counts


def _parser() -> Parser:
    parser = Parser(
        prog="virst bench",
        description=__doc__,
    )
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="of random weights")
    parser.add_argument("--random-weights", action="store_true", help="instead of a folder's")
    size = width_by_height(1)
    parser.add_argument(
        "--size", type=size, help="of the camera's frames (default: 640x480, of 7b 1024x1024)"
    )
    parser.add_argument(
        "--frames", type=whole(1), help="measured, after the warm-up (default: 150, of 7b 60)"
    )
    parser.add_argument("--rate", type=above_0, default=15.0, help="of the camera, in Hz")
    parser.add_argument(
        "--queries",
        type=_counts,
        metavar="N,N",
        help="at a time, as 1,4,16 (default: 1, of 7b 1,4)",
    )
    parser.add_argument(
        "--released",
        action="store_true",
        help="our own released behaviour, too, by torch as it is (--preset 7b always)",
    )
    parser.add_argument("--mode", choices=("offline", "streaming"), help="default: both")
    parser.add_argument("--threads", type=THREADS, default=1, help="CPU threads of the tracker")
    parser.add_argument("--compile", action="store_true", help="what runs for every frame")
    parser.add_argument(
        "--rounds",
        type=whole(0),
        default=5,
        help="of the engines and of sam2's own predictor by turns, on a CPU; 0: none",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the figures into FILE")
    parser.add_argument("--growth", type=Path, metavar="DIR", help="sweeps; SVG plots into DIR")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="a Chrome trace into FILE, and its table"
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="of the preset's memory on a GPU, by counting tensors; measures nothing",
    )
    parser.add_argument(
        "--growth-frames", type=whole(1), default=10_000, help="of the longest stream"
    )
    add_model_options(parser)
    add_engine_option(parser)
    add_reground_options(parser)
    return parser


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where an option cannot be used, said in one line."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.size = options.size or SIZES[options.preset]
    options.queries = options.queries or QUERIES[options.preset]
    options.frames = options.frames or FRAMES[options.preset]
    if options.json:
        writable(options.json.parent, "--json")
    if options.growth:
        writable(options.growth, "--growth")
    if options.profile:
        writable(options.profile.parent, "--profile")
    if options.compile and options.engine in ("onnx", "graphs"):
        raise UsageError("--compile: is for --engine torch")
    if options.estimate:
        return _estimate(options)
    model = _model(options)
    if options.mode != "offline":
        check_stream(model.config.behaviour)
    if options.growth:
        if options.compile:
            compile_frames(model)
        else:
            use_engine(model, options.engine)
        return _grow(model, options)
    width, height = options.size
    load = measure.Load(
        height,
        width,
        options.frames,
        options.rate,
        reground=options.reground,
        reground_after_s=options.reground_after,
    )
    if options.profile:
        return _profile(model, load, options)
    modes = (options.mode,) if options.mode else ("streaming", "offline")
    engine = "compiled" if options.compile else options.engine
    released = options.released or options.preset == "7b"
    keep = functools.partial(_write, options.json)
    results = bench(model, load, modes, options.queries, engine, options.rounds, released, keep)
    results["estimate_mib"] = {
        str(count): footprint(
            model.config, model.dtype, count, options.engine == "graphs", options.quantize
        )
        for count in options.queries
    }
    keep(results)
    sys.stdout.write(bench_table(results))
    return 0


def _write(path: Path | None, results: dict) -> None:
    """Also what is not whole: of a bench that is cut off the rest is there."""
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _model(options: argparse.Namespace) -> Virst:
    if not options.random_weights:
        if options.preset != "tiny":
            raise UsageError(f"--preset {options.preset}: needs --random-weights, or give --model")
        return load_model(options)
    device, dtype = chosen_device(options), dtype_of(options.dtype)
    with device_option():
        return random_model(options.preset, device, dtype, options.quantize)


def _estimate(options: argparse.Namespace) -> int:
    if options.model:
        raise UsageError("--estimate: is of a --preset, not of a --model")
    dtype = dtype_of(options.dtype) or torch.bfloat16
    config, graphs = PRESETS[options.preset](), options.engine == "graphs"
    found = {
        str(count): footprint(config, dtype, count, graphs, options.quantize)
        for count in options.queries
    }
    numbers = str(dtype).removeprefix("torch.")
    sys.stdout.write(
        f"Estimate: tensors counted, nothing measured. {options.preset} {numbers}, quantize "
        f"{options.quantize}, MiB of a device's memory\n\n{estimate_table(found)}"
    )
    if options.json:
        text = json.dumps({"preset": options.preset, "dtype": numbers, "estimate_mib": found})
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _profile(model: Virst, load: measure.Load, options: argparse.Namespace) -> int:
    if options.engine == "onnx":
        raise UsageError("--engine onnx: --profile is of torch's operators")
    if options.compile:
        compile_frames(model)
    elif options.engine == "graphs":
        use_engine(model, "graphs")
    found = {}
    for count in options.queries:
        trace = options.profile
        if len(options.queries) > 1:
            trace = trace.with_stem(f"{trace.stem}_{count}")
        found[str(count)] = profile_frames(model, dataclasses.replace(load, queries=count), trace)
        sys.stdout.write(f"{count} queries, {trace}\n\n{profile_table(found[str(count)])}\n\n")
    _write(options.json, {"machine": measured_on(model), "profile": found})
    return 0


def _grow(model: Virst, options: argparse.Namespace) -> int:
    results = growth.measure(model, options.growth_frames)
    for name, points in results.items():
        growth.plot(options.growth / f"{name.replace(' ', '_')}.svg", name, points)
        for x, point in points:
            values = ", ".join(f"{value:.1f} {key}" for key, value in point.items())
            sys.stdout.write(f"{name} {x}: {values}\n")
    text = json.dumps({"machine": measured_on(model), "growth": results}, indent=1)
    (options.growth / "growth.json").write_text(text + "\n", encoding="utf-8")
    return 0
