"""Turns the released VIRST into a folder that `load` reads, and says what is in files.

    virst import --virst virst.pt --videochat DIR \\
        --sam2 sam2.1_hiera_large.pt --out DIR
    virst inspect FILE
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import json
import logging
from math import prod
from pathlib import Path
import sys
import tempfile

from tokenizers import Tokenizer
import torch
from tqdm import tqdm

from virst_model.arguments import Parser
from virst_model.checkpoints.folder import (
    CONFIG_FILE,
    INDEX_FILE,
    WEIGHTS_FILE,
    read_weights,
    weight_files,
    write_tensors,
)
from virst_model.checkpoints.load import empty
from virst_model.checkpoints.names import to_released
from virst_model.checkpoints.released import (
    PREFIX,
    STATE,
    ReleasedFiles,
    ReleaseError,
    llm_settings,
    read_tensors,
    read_tokenizer,
    sizes_of,
)
from virst_model.checkpoints.room import dtype_of
from virst_model.checkpoints.saved import printable
from virst_model.config import VirstConfig, behaviour, full
from virst_model.configure import parse_config
from virst_model.dtypes import DTYPES
from virst_model.errors import program
from virst_model.model.virst import Virst

SHARD_BYTES = 4 << 30
# What has been read of a mapped file stays in memory until the file is closed: after so many bytes
# the sources are opened anew.
OPEN_BYTES = 256 << 20

Layout = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def import_released(
    files: ReleasedFiles,
    out: Path,
    behaviour_name: str = "released",
    dtype: torch.dtype = torch.bfloat16,
    like: VirstConfig | None = None,
) -> VirstConfig:
    """Writes a folder that `load` reads; the configuration that is in it.

    Sizes are those of the files. With the released behaviour the Initial ST-Fusion is off, as in
    the release's evaluation; the paper's has it on. Where LoRA is still there it is merged.
    Tensors pass through memory one by one, and the folder appears when it is complete.

    Args:
        files: the released files.
        out: a folder that does not exist or is empty.
        behaviour_name: "released" or "paper".
        dtype: of the parameters; buffers stay as they are.
        like: what shapes do not tell; the full model by default.

    Raises:
        ReleaseError: a file is missing, damaged, of something else or holds NaNs; or `out` cannot
            be written.
    """
    tokenizer = read_tokenizer(files.videochat)
    config = _configure(files, tokenizer, behaviour_name, like or full())
    model = _checked_model(files, tokenizer, config)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ReleaseError(out, "exists and is not an empty folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
            part = Path(folder) / out.name
            part.mkdir()
            _write_weights(model, files, part, dtype)
            tokenizer.save(str(part / "tokenizer.json"))
            text = json.dumps(config.to_dict(), indent=2, ensure_ascii=False) + "\n"
            (part / CONFIG_FILE).write_text(text, encoding="utf-8")
            part.replace(out)
    except OSError as error:
        raise ReleaseError(out, f"cannot be written ({error.strerror or error})") from error
    return config


def _configure(
    files: ReleasedFiles, tokenizer: Tokenizer, behaviour_name: str, like: VirstConfig
) -> VirstConfig:
    """`like` with the sizes of the files; where they tell none, as it is, to be checked next."""
    vocabulary = tokenizer.get_vocab_size()
    like = dataclasses.replace(
        like,
        llm=dataclasses.replace(llm_settings(files.videochat, like.llm), vocab=vocabulary),
        fusion=dataclasses.replace(like.fusion, initial=behaviour_name == "paper"),
        behaviour=behaviour(behaviour_name),
    )
    try:
        config = sizes_of(files.open(vocabulary).shapes, like)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return like
    config = dataclasses.replace(config, llm=dataclasses.replace(config.llm, vocab=vocabulary))
    try:
        return parse_config(config.to_dict())
    except ValueError as error:
        raise ReleaseError(files.virst, f"not the released VIRST ({error})") from None


def _checked_model(files: ReleasedFiles, tokenizer: Tokenizer, config: VirstConfig) -> Virst:
    """The configured model, without memory, whose parameters are exactly those of the files."""
    released = files.open(config.llm.vocab)
    try:
        model = empty(config, tokenizer)
    except (ValueError, AssertionError, RuntimeError) as error:  # sizes that do not fit together
        raise ReleaseError(files.virst, f"not the released VIRST ({error})") from None
    ours = model.state_dict()
    released.check({to_released(name): tuple(tensor.shape) for name, tensor in ours.items()})
    return model


def _write_weights(model: Virst, files: ReleasedFiles, folder: Path, dtype: torch.dtype) -> None:
    """Writes the weights in files of about SHARD_BYTES, with an index where there are several."""
    parameters = {name for name, _ in model.named_parameters()}
    layout: Layout = {
        name: (dtype if name in parameters else tensor.dtype, tuple(tensor.shape))
        for name, tensor in model.state_dict().items()
    }
    shards = _shards(layout)
    names = [WEIGHTS_FILE]
    if len(shards) > 1:
        names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    total = sum(map(_bytes, layout.values()))
    with tqdm(total=total, unit="B", unit_scale=True, desc="import", leave=False) as bar:
        for name, shard in zip(names, shards, strict=True):
            write_tensors(folder / name, shard, _tensors(files, shard, model, bar))
    if len(shards) > 1:
        files_of = {n: name for name, shard in zip(names, shards, strict=True) for n in shard}
        index = {"metadata": {"total_size": total}, "weight_map": files_of}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _tensors(
    files: ReleasedFiles, layout: Layout, model: Virst, bar: tqdm
) -> Iterator[torch.Tensor]:
    """The tensors of a file to write, in its order."""
    released, read = None, 0
    for name, (dtype, shape) in layout.items():
        if released is None or read > OPEN_BYTES:
            released, read = files.open(model.config.llm.vocab), 0
        yield released.read(to_released(name), dtype)
        size = _bytes((dtype, shape))
        read += size
        bar.update(size)


def _shards(layout: Layout) -> list[Layout]:
    shards: list[Layout] = [{}]
    size = 0
    for name, kind in layout.items():
        if shards[-1] and size + _bytes(kind) > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = kind
        size += _bytes(kind)
    return shards


def _bytes(kind: tuple[torch.dtype, tuple[int, ...]]) -> int:
    return kind[0].itemsize * prod(kind[1])


def tensor_table(path: Path) -> str:
    """Groups of a file's tensors (or a folder's), with their tensors, elements and dtypes.

    Raises:
        WeightsError: it is missing, damaged or holds no tensors.
    """
    groups: dict[str, list[torch.Tensor]] = {}
    for name, tensor in _contents(path).items():
        groups.setdefault(_group(name), []).append(tensor)
    rows = [("group", "tensors", "elements", "dtype")]
    rows += [_row(group, tensors) for group, tensors in groups.items()]
    rows.append(_row("all", [tensor for tensors in groups.values() for tensor in tensors]))
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        f"{row[0]:<{wide[0]}}  {row[1]:>{wide[1]}}  {row[2]:>{wide[2]}}  {row[3]}\n"
        for row in rows
    )


def _contents(path: Path) -> Mapping[str, torch.Tensor]:
    if path.is_dir():
        tensors: dict[str, torch.Tensor] = {}
        for file in weight_files(path):
            tensors |= read_weights(file)
        return tensors
    return read_tensors(path, STATE, "model")


def _group(name: str) -> str:
    parts = name.removeprefix(PREFIX).split(".")
    depth = 3 if parts[1:2] == ["seg_model"] else 2
    group = printable(".".join(parts[:depth]).removesuffix(".weight").removesuffix(".bias"))
    return f"{group} (LoRA)" if "lora_A" in parts or "lora_B" in parts else group


def _row(group: str, tensors: Sequence[torch.Tensor]) -> tuple[str, str, str, str]:
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors})
    elements = sum(tensor.numel() for tensor in tensors)
    return group, str(len(tensors)), f"{elements:,}", ", ".join(dtypes)


IMPORTING = """Released files become a folder of weights that the node and all verbs run.

virst import --virst virst.pt --videochat VideoChat-Flash-Qwen2-7B_res448 \\
    --sam2 sam2.1_hiera_large.pt --out models/virst-7b
"""
INSPECTING = """What tensors are in a file of weights or a folder; nothing in it is run.

virst inspect virst.pt
"""


def _parser() -> Parser:
    parser = Parser(
        prog="virst",
        description="Released checkpoints: turn them into a folder of weights, or look at them.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser(
        "import", help="released files -> a folder of weights", description=IMPORTING
    )
    importing.add_argument("--virst", type=Path, required=True, help="VIRST's checkpoint (.pt)")
    importing.add_argument(
        "--videochat",
        type=Path,
        required=True,
        metavar="DIR",
        help="VideoChat-Flash-Qwen2-7B_res448: tokenizer, config.json, *.safetensors",
    )
    importing.add_argument(
        "--sam2", type=Path, help="sam2.1_hiera_large.pt; not needed if the checkpoint has it"
    )
    importing.add_argument("--out", type=Path, required=True, metavar="DIR", help="what to make")
    importing.add_argument(
        "--behaviour",
        choices=("released", "paper"),
        default="released",
        help="switches (docs/released.md)",
    )
    importing.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="of the weights")
    inspecting = commands.add_parser(
        "inspect", help="what tensors are in a file", description=INSPECTING
    )
    inspecting.add_argument("file", type=Path, help=".pt, .safetensors, or a folder of weights")
    return parser


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where a file cannot be used, said in one line."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if options.command == "inspect":
        sys.stdout.write(tensor_table(options.file))
        return 0
    files = ReleasedFiles(options.virst, options.videochat, options.sam2)
    dtype = DTYPES[options.dtype]
    config = import_released(files, options.out, options.behaviour, dtype_of(dtype))
    sys.stdout.write(f"{options.out}: {config.behaviour.name} behaviour, {dtype}\n")
    return 0
