"""What users have of the release: VIRST's checkpoint, VideoChat-Flash's folder, SAM 2.1's file.

Together they hold every parameter under its released name (names.py has the map). The
checkpoint goes first; what it leaves out comes from the other two, as in the release. Nothing
pickled is executed: only tensors are loaded.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
import re

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)
import torch

from virst_model.checkpoints.folder import (
    CONFIG_FILE,
    INDEX_FILE,
    WEIGHTS_FILE,
    WeightsError,
    is_finite,
    read_object,
    read_weights,
    weight_files,
)
from virst_model.checkpoints.saved import SavedError, load_saved, printable
from virst_model.config import LlmConfig, SegmenterConfig, VirstConfig
from virst_model.model.prompt import ST

PREFIX = "base_model.model."  # PEFT's, around the whole model
STATE = "model_state_dict"
LORA_A, LORA_B = ".lora_A.default.weight", ".lora_B.default.weight"
LORA_ALPHA = 16.0
# What LoRA is put on: the projections of the language model's layers, of nothing else.
LORA_TARGET = re.compile(r"model\.layers\.\d+\.(self_attn|mlp)\.[a-z]+_proj\.weight")
SEGMENTER = "model.seg_model."
# VideoChat's have 152064 rows; the release cuts them to its tokenizer's size.
VOCABULARY = ("model.embed_tokens.weight", "lm_head.weight")
# Qwen2 splits text like this before byte pairs are merged.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class ReleaseError(WeightsError):
    """A released file cannot be used. `str()` is one line: the path and why."""

    advice = ""


@dataclass(frozen=True)
class ReleasedFiles:
    """Where the parts of the release are; `sam2` is needed only for a checkpoint without it."""

    virst: Path
    videochat: Path
    sam2: Path | None = None

    def open(self, vocabulary: int) -> "Released":
        """Maps the files; the language model's rows are cut to the `vocabulary`.

        Raises:
            ReleaseError: a file is missing, damaged or of something else.
        """
        parameters: dict[str, tuple[Path, torch.Tensor]] = {}
        for path, tensors in self._parts(vocabulary):
            parameters |= {name: (path, tensor) for name, tensor in tensors.items()}
        return Released(self.virst, parameters)

    def _parts(self, vocabulary: int) -> Iterator[tuple[Path, dict[str, torch.Tensor]]]:
        """Tensors by released name, the checkpoint's last."""
        for path in _videochat_files(self.videochat):
            tensors = _safetensors(path)
            for name in VOCABULARY:
                if name in tensors and tensors[name].ndim:
                    tensors[name] = tensors[name][:vocabulary]
            yield path, tensors
        if self.sam2 is not None:
            tensors = read_tensors(self.sam2, "model")
            yield self.sam2, {SEGMENTER + name: tensor for name, tensor in tensors.items()}
        tensors = read_tensors(self.virst, STATE)
        yield self.virst, {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}


class Released:
    """Released parameters by name, mapped from their files; LoRA is merged when one is read."""

    def __init__(self, path: Path, parameters: Mapping[str, tuple[Path, torch.Tensor]]) -> None:
        self.path = path
        self._parameters = parameters

    @cached_property
    def rank(self) -> int:
        """The LoRA's r; 0 where there is none or it is merged. Raises ReleaseError on several."""
        loras = {n: tensor for n, (_, tensor) in self._parameters.items() if LORA_A in n}
        ranks = {tensor.shape[0] if tensor.ndim else 0 for tensor in loras.values()}
        if len(ranks) > 1:
            raise ReleaseError(self.path, f"has LoRA of several ranks: {sorted(ranks)}")
        return ranks.pop() if ranks else 0

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Released name -> shape of everything in the files, LoRA as it is."""
        return {name: tuple(tensor.shape) for name, (_, tensor) in self._parameters.items()}

    def check(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        """Compares with a model's parameters (LoRA merged), by their released names.

        Raises:
            ReleaseError: names are missing or unexpected, or shapes differ; it lists them.
        """
        wanted = with_lora(expected, self.rank)
        wrong = [
            f"{name} is {self.shapes[name]} instead of {shape}"
            for name, shape in wanted.items()
            if name in self.shapes and self.shapes[name] != tuple(shape)
        ]
        problems = [
            ("missing", [name for name in wanted if name not in self.shapes]),
            ("unexpected", [name for name in self.shapes if name not in wanted]),
            ("of another shape", wrong),
        ]
        faults = [f"{len(names)} {kind}: {_some(names)}" for kind, names in problems if names]
        if faults:
            path = self._parameters[problems[1][1][0]][0] if problems[1][1] else self.path
            raise ReleaseError(path, "not the released VIRST's parameters; " + "; ".join(faults))

    def read(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """A parameter, merged in float32 with its LoRA: W + alpha / r * B A.

        Raises:
            ReleaseError: it holds numbers that are not finite.
        """
        tensor = self._finite(name)
        stem = name.removesuffix(".weight")
        if stem + LORA_A in self._parameters:
            low, high = self._finite(stem + LORA_A), self._finite(stem + LORA_B)
            merged = high.float() @ low.float()
            tensor = tensor.float().add(merged, alpha=LORA_ALPHA / len(low))
        if dtype == torch.float16 and tensor.abs().max() > torch.finfo(dtype).max:
            raise ReleaseError(self._parameters[name][0], f"{name} does not fit into float16")
        return tensor.to(dtype)

    def _finite(self, name: str) -> torch.Tensor:
        path, tensor = self._parameters[name]
        if not is_finite(tensor):
            raise ReleaseError(path, f"{name} holds numbers that are not finite (NaN or infinite)")
        return tensor


def with_lora(shapes: Mapping[str, tuple[int, ...]], rank: int) -> dict[str, tuple[int, ...]]:
    """Released names and shapes with LoRA of a rank on its targets; with rank 0, without."""
    with_targets = {name: tuple(shape) for name, shape in shapes.items()}
    for name in [name for name in shapes if rank and LORA_TARGET.fullmatch(name)]:
        outputs, inputs = shapes[name]
        stem = name.removesuffix(".weight")
        with_targets |= {stem + LORA_A: (rank, inputs), stem + LORA_B: (outputs, rank)}
    return with_targets


def sizes_of(shapes: Mapping[str, tuple[int, ...]], like: VirstConfig) -> VirstConfig:
    """The configuration of a released model, from the shapes of its parameters.

    What shapes do not tell (attention heads, the clip encoder's side, SAM 2's windows) is as in
    `like`.

    Raises:
        KeyError: a parameter that tells a size is not there.
    """
    umt = "model.vision_tower.vision_tower.encoder."
    kernel = shapes[umt + "patch_embed.proj.weight"]
    umt_config = dataclasses.replace(
        like.umt,
        patch=kernel[-1],
        dim=kernel[0],
        depth=_count(shapes, umt + "blocks."),
        mlp_ratio=shapes[umt + "blocks.0.mlp.fc1.weight"][0] / kernel[0],
    )
    fusion = dataclasses.replace(like.fusion, layers=_count(shapes, "model.seg_prompter.decoder."))
    return dataclasses.replace(
        like,
        umt=umt_config,
        llm=_llm_sizes(shapes, like.llm),
        segmenter=_segmenter_sizes(shapes, like.segmenter, fusion.grid),
        fusion=fusion,
    )


def _llm_sizes(shapes: Mapping[str, tuple[int, ...]], like: LlmConfig) -> LlmConfig:
    vocab, hidden = shapes["model.embed_tokens.weight"]
    layer = "model.layers.0."
    return dataclasses.replace(
        like,
        hidden=hidden,
        vocab=vocab,
        layers=_count(shapes, "model.layers."),
        kv_heads=shapes[layer + "self_attn.k_proj.weight"][0] * like.heads // hidden,
        intermediate=shapes[layer + "mlp.gate_proj.weight"][0],
    )


def _segmenter_sizes(
    shapes: Mapping[str, tuple[int, ...]], like: SegmenterConfig, grid: int
) -> SegmenterConfig:
    trunk, decoder = SEGMENTER + "image_encoder.trunk.", SEGMENTER + "sam_mask_decoder."
    attention = SEGMENTER + "memory_attention.layers."
    blocks = _count(shapes, trunk + "blocks.")
    # The width doubles from stage to stage.
    widths = [shapes[f"{trunk}blocks.{block}.norm2.weight"][0] for block in range(blocks)]
    halvings = len([n for n in shapes if n.startswith("model.seg_prompter.spatial_down.")]) // 2
    memory = shapes[SEGMENTER + "maskmem_tpos_enc"]
    return dataclasses.replace(
        like,
        side=16 * grid * 2**halvings,
        embed_dim=shapes[trunk + "patch_embed.proj.weight"][0],
        stages=tuple(len(list(same)) for _, same in groupby(widths)),
        window_spec=(shapes[trunk + "pos_embed_window"][-1], *like.window_spec[1:]),
        window_pos_embed_bkg=shapes[trunk + "pos_embed"][-2:],
        dim=shapes[SEGMENTER + "no_mem_embed"][-1],
        memory_dim=memory[-1],
        memory_layers=_count(shapes, attention),
        memory_feedforward=shapes[attention + "0.linear1.weight"][0],
        decoder_feedforward=shapes[decoder + "transformer.layers.0.mlp.layers.0.weight"][0],
        iou_head_hidden=shapes[decoder + "iou_prediction_head.layers.0.weight"][0],
        num_maskmem=memory[0],
    )


def llm_settings(folder: Path, like: LlmConfig) -> LlmConfig:
    """What VideoChat's config.json says and shapes do not; `like` where there is none.

    Raises:
        WeightsError: the file is unreadable.
    """
    if not (folder / CONFIG_FILE).exists():
        return like
    settings = read_object(folder / CONFIG_FILE)
    names = {
        "heads": ("num_attention_heads", (int,)),
        "rope_theta": ("rope_theta", (int, float)),
        "rms_eps": ("rms_norm_eps", (int, float)),
    }
    own: dict[str, int | float] = {}
    for ours, (name, numbers) in names.items():
        if name in settings:
            if type(settings[name]) not in numbers or not settings[name] > 0:
                reason = f"{name} is {settings[name]!r}, must be a number above 0"
                raise ReleaseError(folder / CONFIG_FILE, reason)
            own[ours] = settings[name]
    return dataclasses.replace(like, **own)


def read_tokenizer(folder: Path) -> Tokenizer:
    """VideoChat's tokenizer with [SEG] as one more special token, as in the release.

    From tokenizer.json, else from vocab.json and merges.txt with added_tokens.json.

    Raises:
        ReleaseError: the folder has no tokenizer, or it cannot be read.
    """
    if not folder.is_dir():
        raise ReleaseError(folder, "no such folder")
    whole, parts = folder / "tokenizer.json", [folder / "vocab.json", folder / "merges.txt"]
    try:
        if whole.exists():
            tokenizer = Tokenizer.from_file(str(whole))
        elif all(part.exists() for part in parts):
            tokenizer = _qwen2_tokenizer(*parts)
        else:
            reason = "has no tokenizer: neither tokenizer.json nor vocab.json and merges.txt"
            raise ReleaseError(folder, reason)
    except WeightsError:
        raise
    except Exception as error:  # the library raises bare Exception for a damaged file
        raise ReleaseError(folder, f"the tokenizer cannot be read ({error})") from None
    _add_special(tokenizer, folder / "added_tokens.json")
    if tokenizer.token_to_id(ST) is None:
        tokenizer.add_special_tokens([_special(ST)])
    return tokenizer


def _qwen2_tokenizer(vocab: Path, merges: Path) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _add_special(tokenizer: Tokenizer, path: Path) -> None:
    """Adds the tokens of a JSON object of numbers by token, which must become those numbers."""
    if not path.exists():
        return
    added = read_object(path)
    if any(type(number) is not int for number in added.values()):
        raise ReleaseError(path, "must hold the number of each token")
    for token, number in sorted(added.items(), key=lambda pair: pair[1]):
        tokenizer.add_special_tokens([_special(token)])
        if tokenizer.token_to_id(token) != number:
            own = tokenizer.token_to_id(token)
            raise ReleaseError(path, f"{token} would be {own} in this vocabulary, not {number}")


def _special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)


def read_tensors(path: Path, *keys: str) -> dict[str, torch.Tensor]:
    """Tensors of a file that `torch.save` wrote, or of a safetensors file.

    They are under the first of the `keys` that is there, or at the top.

    Raises:
        ReleaseError: it is missing, damaged, or holds anything but tensors there.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        content = load_saved(path, mapped=True)
    except SavedError as error:
        raise ReleaseError(path, error.reason) from None
    state = content
    if isinstance(content, dict):
        state = next((content[key] for key in keys if key in content), content)
    if not isinstance(state, dict):
        raise ReleaseError(path, f"holds a {type(state).__name__}, not parameters by name")
    other = [name for name, value in state.items() if not _is_parameter(name, value)]
    if other or not state:
        holds = f"has no {' or '.join(keys)} of tensors by name"
        raise ReleaseError(path, f"{holds}, but: {_some(other or list(content))}")
    return state


def _is_parameter(name: object, value: object) -> bool:
    """Whether it is what a checkpoint holds: numbers, one beside the other, by a name."""
    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        return False
    plain = value.layout == torch.strided and value.device.type == "cpu"
    return plain and not (value.is_quantized or value.is_nested or value.is_complex())


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return read_weights(path)
    except WeightsError as error:
        raise ReleaseError(error.path, error.reason) from None


def _videochat_files(folder: Path) -> list[Path]:
    """None where the folder holds no weights: a full checkpoint needs none."""
    if (folder / INDEX_FILE).exists():
        return weight_files(folder)
    return [path for path in (folder / WEIGHTS_FILE,) if path.exists()]


def _count(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    """How many numbered children a name has."""
    numbers = {n[len(prefix) :].split(".")[0] for n in shapes if n.startswith(prefix)}
    return len(numbers)


def _some(names: list, most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    shown = [printable(n) if isinstance(n, str) else f"a {type(n).__name__}" for n in names[:most]]
    return ", ".join(shown) + more
