"""A world for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world with an account."""
    begun = await World.begin(tmp_path, stop_deadline_s=1)
    yield begun
    await begun.stop_server()
