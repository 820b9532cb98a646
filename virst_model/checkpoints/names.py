"""Names of the released checkpoint and ours: one map, both ways.

The release is VIRST's `VirstForCausalLM` without LoRA (what is left of a merged checkpoint once
`base_model.model.` is stripped).
"""

# (ours, released): a bijection, since no prefix of either column starts another of that column.
# Below its prefix a name is the same on both sides.
_PREFIXES = (
    ("vlm.llm.model.embed_tokens.", "model.embed_tokens."),
    ("vlm.llm.model.layers.", "model.layers."),
    ("vlm.llm.model.norm.", "model.norm."),
    ("vlm.llm.lm_head.", "lm_head."),
    ("vlm.umt.", "model.vision_tower.vision_tower.encoder."),
    ("vlm.projector.", "model.mm_projector."),
    ("initial_fusion.", "model.initial_seg_fusion_module."),
    ("second_fusion.", "model.seg_prompter."),
    ("segmenter.", "model.seg_model."),
    ("occ_predictor.", "model.occ_predictor."),
)
# What only models of ours have (`config.pointing`): the release knows no such names.
OURS_ALONE = ("pointing.",)


def to_released(name: str) -> str:
    """Our parameter name -> the released one; KeyError where there is none."""
    return _swap(name, 0)


def from_released(name: str) -> str:
    """The released parameter name -> ours; KeyError where there is none."""
    return _swap(name, 1)


def _swap(name: str, side: int) -> str:
    for prefixes in _PREFIXES:
        if name.startswith(prefixes[side]):
            return prefixes[1 - side] + name[len(prefixes[side]) :]
    if side == 0 and name.startswith(OURS_ALONE):
        raise KeyError(f"the release has no parameter {name!r}: it does not point")
    raise KeyError(f"no rule for the parameter {name!r}")
