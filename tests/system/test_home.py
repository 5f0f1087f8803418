"""What a server leaves in its home."""

import stat
from pathlib import Path

import pytest
from tests.server import server

from bakehouse.bootstrap.server import running_server
from bakehouse.reconcile.reconciler import RecordsLost
from bakehouse.settings import Settings


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    with server(tmp_path / "home") as running:
        running.access_key()

        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").glob("bakehouse.db*")}

    assert modes == dict.fromkeys(("bakehouse.db", "bakehouse.db-wal", "bakehouse.db-shm"), 0o600)


async def test_a_home_that_has_lost_its_records_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server(home) as running:
        volume_id = running.ec2().create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    for path in home.glob("bakehouse.db*"):
        path.unlink()

    with pytest.raises(RecordsLost, match="1 volumes"):
        async with running_server(home, Settings(simulate=True)):
            pass

    assert volume_id in (home / "simulated" / "volumes.json").read_text()
