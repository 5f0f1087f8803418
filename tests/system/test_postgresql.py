"""A server whose records are in PostgreSQL."""

from pathlib import Path

import pytest
from tests.commands import Commands
from tests.postgresql import Postgresql
from tests.server import server


def test_a_restarted_server_has_what_was_made(postgresql: Postgresql, tmp_path: Path) -> None:
    url = postgresql.url(postgresql.make_database())
    with server(tmp_path, database_url=url) as first:
        ec2 = first.ec2()
        for size in (3, 1, 2):
            ec2.create_volume(AvailabilityZone="us-east-1a", Size=size)
        ec2.create_key_pair(
            KeyName="k", TagSpecifications=[{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "ä<&>"}]}]
        )
        first.call(first.server.engine.settle())
        volumes, keys = ec2.describe_volumes()["Volumes"], ec2.describe_key_pairs()["KeyPairs"]
    assert [volume["State"] for volume in volumes] == ["available"] * 3

    with server(tmp_path, database_url=url) as second:
        second._keys.update(first._keys)
        ec2 = second.ec2()

        assert ec2.describe_volumes()["Volumes"] == volumes
        assert ec2.describe_key_pairs()["KeyPairs"] == keys
    assert not (tmp_path / "bakehouse.db").exists()


def test_serve_says_that_it_cannot_reach_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEHOUSE_DATABASE_URL", f"postgresql://baker@/bakehouse?host={tmp_path}")

    failure = Commands().failure("serve", "--home", str(tmp_path), "--simulate", "--port", "0")

    assert failure.message.startswith("the database cannot be used: ")
    assert "BAKEHOUSE_DATABASE_URL" in (failure.hint or "")
