"""`bakehouse storage` against a server that keeps real layers and runs no machine."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.commands import bakehouse
from tests.home_account import own_account

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed"),
]


class Home:
    """The home of a server in the background."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return bakehouse(self.path, *arguments, timeout_s=120)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--output", "json")
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A server with one image of 1 MiB."""
    folder = tmp_path_factory.mktemp("storage")
    disk = folder / "disk.raw"
    disk.write_bytes(os.urandom(1 << 20))
    home = Home(folder / "home")
    started = home.run("up", "--port", "0")
    assert started.returncode == 0, started.stderr
    imported = home.run("image", "import", str(disk), "--name", "disk")
    assert imported.returncode == 0, imported.stderr
    yield home
    home.run("down")


def layer_of(home: Home) -> Path:
    (layer,) = (home.path / "volumes" / "layers").glob("snap-*.raw")
    return layer


def test_usage_tells_what_an_image_takes(home: Home) -> None:
    found = home.json("storage", "usage")

    image = next(row for row in found["resources"] if row["kind"] == "image")
    assert (image["exclusive_bytes"], image["shared_bytes"], image["layers"]) == (1 << 20, 0, 1)


def test_usage_is_a_table_for_people(home: Home) -> None:
    done = home.run("storage", "usage")

    assert done.stdout.splitlines()[0].split() == ["ID", "KIND", "EXCLUSIVE", "SHARED", "LAYERS"]


def test_a_volume_is_flattened(home: Home) -> None:
    ec2: Any = boto3.client("ec2", **own_account(home.path))
    volume_id = ec2.create_volume(AvailabilityZone=f"{ec2.meta.region_name}a", Size=1)["VolumeId"]
    for _ in range(2):
        ec2.create_snapshot(VolumeId=volume_id)

    done = home.run("storage", "flatten", volume_id)

    assert (done.returncode, f"{volume_id} is read through 2 files" in done.stderr) == (0, True)


def test_a_volume_that_is_not_there_is_not_flattened(home: Home) -> None:
    done = home.run("storage", "flatten", "vol-0123456789abcdef0")

    assert (done.returncode, "The volume 'vol-0123456789abcdef0' does not exist" in done.stderr) == (1, True)


def test_of_a_sound_storage_a_check_says_so(home: Home) -> None:
    done = home.run("storage", "check")

    assert (done.returncode, done.stdout, "all is well" in done.stderr) == (0, "", True)


def test_a_damaged_layer_is_found(home: Home) -> None:
    home.run("storage", "check")  # By now every layer has its checksum.
    layer = layer_of(home)
    whole = layer.read_bytes()
    layer.chmod(0o600)
    layer.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    layer.chmod(0o444)

    done = home.run("storage", "check", "--output", "json")

    (finding,) = json.loads(done.stdout)["findings"]
    layer.chmod(0o600)
    layer.write_bytes(whole)
    layer.chmod(0o444)
    assert (done.returncode, finding["subject"], finding["severity"]) == (1, layer.name, "lost")


def test_a_file_that_nobody_owns_is_found_and_removed(home: Home) -> None:
    stray = home.path / "volumes" / "layers" / "vol-00000000000000000.0.qcow2"
    stray.write_bytes(b"x")
    found = home.run("storage", "check")

    repaired = home.run("storage", "check", "--repair")

    assert (found.returncode, repaired.returncode, stray.exists()) == (1, 0, False)


def test_keys_are_made_and_listed(home: Home) -> None:
    arn = home.run("key", "create", "payroll", "--description", "of the wages").stdout.strip()

    (key,) = [key for key in home.json("key", "list") if key["arn"] == arn]
    assert (key["aliases"], key["description"]) == (["alias/payroll"], "of the wages")
    assert (home.path / "volume-keys" / f"{key['key_id']}.key").stat().st_mode & 0o777 == 0o600
