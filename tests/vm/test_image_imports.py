"""Files from outside that become images, and those that are refused."""

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vm.boot_sector import DISK_BYTES, SECTOR
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk that boots, and says so on its console."""
    path = tmp_path_factory.mktemp("disks") / "disk.raw"
    path.write_bytes(SECTOR.ljust(DISK_BYTES, b"\0"))
    return path


def qcow2(path: Path, *options: str) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, str(DISK_BYTES)], check=True)
    return path


def plain_qcow2(raw: Path, directory: Path) -> Path:
    path = directory / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    return path


def vmdk(directory: Path) -> Path:
    path = directory / "disk.vmdk"
    path.write_text(
        '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\n'
        '# Extent description\nRW 2048 FLAT "/etc/shadow" 0\n\n'
        '# The Disk Data Base\nddb.adapterType = "ide"\nddb.virtualHWVersion = "4"\n'
    )
    return path


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_an_imported_disk_boots(host: Host, raw: Path, tmp_path: Path, kind: str) -> None:
    file = raw if kind == "raw" else plain_qcow2(raw, tmp_path)

    image_id = host.bakehouse("image", "import", str(file), "--name", f"sector-{kind}").stdout.strip()

    host.launch(image_id).wait_for_console("K")


def test_a_file_whose_checksum_differs_is_refused(host: Host, raw: Path) -> None:
    refused = host.bakehouse(
        "image", "import", str(raw), "--name", "bad", "--checksum", f"sha256:{'0' * 64}", check=False
    )

    assert refused.returncode == 1
    assert "sha256" in refused.stderr


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("backing file", "backing file"),
        ("data file", "keeps its data in another file"),
        ("VMDK", "VMDK"),
        ("cut short", ""),
    ],
)
def test_a_dangerous_file_is_refused_with_the_reason_and_leaves_nothing(
    host: Host, ec2: "EC2Client", raw: Path, tmp_path: Path, kind: str, reason: str
) -> None:
    files = {
        "backing file": lambda: qcow2(tmp_path / "over.qcow2", "-b", str(raw), "-F", "raw"),
        "data file": lambda: qcow2(tmp_path / "with.qcow2", "-o", f"data_file={tmp_path / 'data'}"),
        "VMDK": lambda: vmdk(tmp_path),
        "cut short": lambda: _cut(plain_qcow2(raw, tmp_path)),
    }
    before = what_is_there(host, ec2)

    refused = host.bakehouse("image", "import", str(files[kind]()), "--name", "dangerous", check=False)

    assert refused.returncode == 1
    assert reason.lower() in " ".join(refused.stderr.split()).lower()
    assert "Traceback" not in refused.stderr
    assert what_is_there(host, ec2) == before


def _cut(path: Path) -> Path:
    os.truncate(path, 100)
    return path


def what_is_there(host: Host, ec2: "EC2Client") -> tuple[set[str], set[str], set[Path]]:
    images = {image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]}
    snapshots = {it["SnapshotId"] for it in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    store = host.home / "volumes"
    files = {path for kind in ("incoming", "snapshots") for path in (store / kind).rglob("*")}
    return images, snapshots, files | set((store / "layers").glob("snap-*"))
