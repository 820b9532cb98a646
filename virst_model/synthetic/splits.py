"""The splits of scenes and stories, and where their lots come from."""

import zlib

import numpy as np

SPLITS = ("train", "valid", "test")


def rng_of(split: str, seed: int, use: str) -> np.random.Generator:
    """A generator of its own for every split, seed and use: splits share no draws."""
    return np.random.default_rng([zlib.crc32(f"{split}/{use}".encode()), abs(seed), seed < 0])


def check_split(split: str) -> None:
    """Raises ValueError for what is not one of SPLITS."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
