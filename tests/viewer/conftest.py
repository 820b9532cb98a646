"""What the tests of a page share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from fake_source import FakeSource
from patience import LIMIT_S
import pytest


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def visit(source):
    """visit(test, guard) runs `test(server)` with the limit of tests."""
    from page import serving  # needs aiohttp

    def run(test: Callable[..., Coroutine], guard=None) -> None:
        async def all_of_it() -> None:
            async with serving(source, guard) as server:
                await asyncio.wait_for(test(server), LIMIT_S)

        asyncio.run(all_of_it())

    return run
