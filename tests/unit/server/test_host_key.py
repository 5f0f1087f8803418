"""The key by which serial consoles are known to SSH."""

from pathlib import Path

import asyncssh
import pytest

from bakehouse.server.host_key import HostKeyUnreadable, host_key


def test_a_home_keeps_its_key(tmp_path: Path) -> None:
    made = host_key(tmp_path / "key")

    assert host_key(tmp_path / "key") == made


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    host_key(tmp_path / "key")

    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("key", 0o600)]


def test_the_fingerprint_is_the_one_that_clients_show(tmp_path: Path) -> None:
    key = host_key(tmp_path / "key")

    assert key.fingerprint == asyncssh.import_public_key(key.public).get_fingerprint()


@pytest.mark.parametrize(
    "damaged", [b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"\xff"], ids=["nothing", "a half", "noise"]
)
def test_a_key_that_cannot_be_read_stays_and_is_named(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(damaged)

    with pytest.raises(HostKeyUnreadable, match=str(path)):
        host_key(path)

    assert path.read_bytes() == damaged


def test_a_key_with_a_passphrase_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    secret = asyncssh.generate_private_key("ssh-ed25519")
    path.write_bytes(secret.export_private_key("pkcs8-pem", passphrase="secret"))

    with pytest.raises(HostKeyUnreadable):
        host_key(path)
