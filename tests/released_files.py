"""Files as users have them of the release, with its structure and names, at a small size."""

import dataclasses
import json
from pathlib import Path

from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
import torch
from torch import Tensor

from virst_model.checkpoints.folder import INDEX_FILE
from virst_model.checkpoints.released import PREFIX, VOCABULARY
from virst_model.config import VirstConfig, full

RANK = 4
# VideoChat has more rows than its tokenizer has tokens.
SPARE_ROWS = 5
ALPHABET = sorted(ByteLevel.alphabet())
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCAB = len(ALPHABET) + 1 + len(SPECIAL) + 1


def small_config(**llm: int) -> VirstConfig:
    """The full model's structure, narrow; head counts stay, which no shape tells."""
    like = full()
    sizes = {"hidden": 112, "layers": 2, "intermediate": 64, "vocab": VOCAB, **llm}
    return dataclasses.replace(
        like,
        umt=dataclasses.replace(like.umt, dim=64, depth=2),
        llm=dataclasses.replace(like.llm, **sizes),
        segmenter=dataclasses.replace(
            like.segmenter,
            side=256,
            embed_dim=16,
            stages=(1, 1, 2, 1),
            dim=128,
            memory_dim=32,
            memory_layers=2,
            memory_feedforward=64,
            decoder_feedforward=64,
            iou_head_hidden=32,
        ),
    )


def write_virst(path: Path, parameters: dict[str, Tensor]) -> None:
    state = {PREFIX + name: tensor for name, tensor in parameters.items()}
    torch.save({"model_state_dict": state, "epoch": 3}, path)


def write_videochat(folder: Path, parameters: dict[str, Tensor]) -> None:
    folder.mkdir()
    write_tokenizer(folder)
    settings = {"num_attention_heads": 28, "rope_theta": 1e6, "rms_norm_eps": 1e-6}
    (folder / "config.json").write_text(json.dumps(settings))
    own = ("model.layers.", "model.norm.", "model.vision_tower.", "model.mm_projector.")
    weights = {n: t for n, t in parameters.items() if n.startswith(own) or n in VOCABULARY}
    for name in VOCABULARY:
        spare = torch.randn(SPARE_ROWS, weights[name].shape[1])
        weights[name] = torch.cat([weights[name], spare])
    files = {n: f"model-0000{1 + ('layers' in n)}-of-00002.safetensors" for n in weights}
    for file in set(files.values()):
        save_file({n: t.clone() for n, t in weights.items() if files[n] == file}, folder / file)
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": files}))


def write_tokenizer(folder: Path) -> None:
    vocab = {symbol: number for number, symbol in enumerate([*ALPHABET, "th"])}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\n")
    added = {token: len(vocab) + number for number, token in enumerate(SPECIAL)}
    (folder / "added_tokens.json").write_text(json.dumps(added))
