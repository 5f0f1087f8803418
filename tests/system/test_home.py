"""What a server leaves in its home."""

import stat
from pathlib import Path

from tests.server import server


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    with server(tmp_path / "home") as running:
        running.access_key()

        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").glob("bakehouse.db*")}

    assert modes == dict.fromkeys(("bakehouse.db", "bakehouse.db-wal", "bakehouse.db-shm"), 0o600)
