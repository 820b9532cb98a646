"""What our model computes is what the released VIRST computes: every file of golden.py, one run.

Prints one line a kind with the worst difference seen. The tests stand in the parity_*.py beside
this file.
"""

from collections.abc import Iterator
from importlib import import_module

import pytest
import torch

PARTS = ("golden", "parity_language", "parity_segmenter", "parity_whole")

pytest.register_assert_rewrite(*PARTS)
for _part in map(import_module, PARTS):
    globals().update({n: value for n, value in vars(_part).items() if n.startswith("test_")})


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def near(request: pytest.FixtureRequest) -> Iterator[object]:
    near = import_module("golden").Near()
    yield near
    near.report(request.config)
