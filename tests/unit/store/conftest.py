"""A store of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.store.disk import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A database file, with stores that open it."""
    made = Disk(tmp_path / "state.db")
    yield made
    made.close()
