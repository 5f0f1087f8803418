"""A store of its own for each test, in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgresql import Postgresql
from tests.unit.store.disk import Disk, SqliteDisk
from tests.unit.store.postgresql_disk import PostgresqlDisk

from bakehouse.store import database
from bakehouse.store.migrate import migrate


@pytest.fixture
def sqlite_disk(tmp_path: Path) -> Iterator[SqliteDisk]:
    """A database file, with stores that open it."""
    made = SqliteDisk(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgresql_database(postgresql: Postgresql) -> str:
    """A database with tables; to make them takes longer than most tests."""
    name = postgresql.make_database()
    migrate(postgresql.url(name))
    return name


@pytest.fixture
def postgresql_disk(
    postgresql: Postgresql, postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresqlDisk]:
    """A database of PostgreSQL, with stores that open it and give it up soon."""
    monkeypatch.setattr(database, "_PATIENCE_S", 0.2)
    made = PostgresqlDisk(postgresql, postgresql_database)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def disk(request: pytest.FixtureRequest) -> Disk:
    """Either."""
    made: Disk = request.getfixturevalue(f"{request.param}_disk")
    return made
