"""Secure Boot by keys that an image brings: what they signed boots, and nothing else."""

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vm import signed_image
from tests.vm.guest import Guest
from tests.vm.host import Host
from tests.vm.signed_image import Keys

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import ArchitectureValuesType

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(600)]

BOOT_DEADLINE_S = 240


@pytest.fixture(scope="module")
def folder(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where things are made, on a host that has what they are made of."""
    signed_image.skip_without_programs()
    host.image()  # so that its kernel is here
    return tmp_path_factory.mktemp("signed")


@pytest.fixture(scope="module")
def keys(folder: Path) -> Keys:
    return Keys.made(folder / "keys")


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Path:
    return signed_image.unified_kernel(folder / "kernel")


def launched(host: Host, keys: Keys, disk: Path, architecture: "ArchitectureValuesType" = "x86_64") -> Guest:
    """Register a disk as an image with these keys enrolled, and launch it."""
    on_arm = architecture == "arm64"
    imported = host.bakehouse("image", "import", str(disk), "--name", disk.stem).stdout.strip()
    (image,) = host.ec2.describe_images(ImageIds=[imported])["Images"]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    image_id = host.ec2.register_image(
        Name=f"{disk.stem} with keys",
        Architecture=architecture,
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}],
        BootMode="uefi",
        TpmSupport="v2.0",
        UefiData=keys.enrolled(signed_image.ARM_ENTRY if on_arm else None),
        VirtualizationType="hvm",
    )["ImageId"]
    return host.launch(image_id, InstanceType="t4g.micro" if on_arm else "t3.micro")


@pytest.fixture(scope="module")
def guest(host: Host, keys: Keys, kernel: Path, folder: Path) -> Guest:
    """An instance of what the enrolled key has signed."""
    started = launched(host, keys, signed_image.disk(folder / "signed.raw", keys.sign(kernel)))
    started.wait_for_console(signed_image.LAST_WORDS, timeout_s=BOOT_DEADLINE_S)
    return started


def told(guest: Guest, what: str) -> str:
    """Return what the guest has told of something."""
    found = re.search(rf"{what}: *(.*?)\s*\n", guest.console())
    assert found is not None
    return found[1].split()[-1]


def test_what_is_signed_boots_securely(guest: Guest) -> None:
    assert told(guest, "secure boot") == "1"
    assert "secureboot: Secure boot enabled" in guest.console()


def test_the_firmware_takes_no_other_keys_without_a_signature(guest: Guest) -> None:
    assert told(guest, "setup mode") == "0"


def test_it_has_its_platform_module_too(guest: Guest) -> None:
    assert told(guest, "module") == "2"


def test_the_keys_are_among_the_instances_variables(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "told").write_text(guest.ec2.get_instance_uefi_data(InstanceId=guest.instance_id)["UefiData"])
    argv = ["virt-fw-vars", "-l", "error", "-i", "told", "--output-json", "read"]
    subprocess.run(argv, check=True, cwd=tmp_path, timeout=60)

    names = {it["name"] for it in json.loads((tmp_path / "read").read_bytes())["variables"]}

    assert {"PK", "KEK", "db"} <= names


def test_what_is_not_signed_does_not_boot(host: Host, keys: Keys, kernel: Path, folder: Path) -> None:
    refused = launched(host, keys, signed_image.disk(folder / "unsigned.raw", kernel))

    refused.wait_for_console("Access Denied", timeout_s=BOOT_DEADLINE_S)
    assert "secure boot:" not in refused.console()


@pytest.fixture(scope="module")
def arm_parts(host: Host, folder: Path) -> tuple[Path, Path]:
    host.image("minimal", "arm64")  # so that its packages are here
    return signed_image.arm_parts(folder / "arm64")


@pytest.fixture(scope="module")
def arm_guest(host: Host, keys: Keys, arm_parts: tuple[Path, Path], folder: Path) -> Guest:
    """An arm64 instance of a kernel that the enrolled key has signed."""
    kernel, initrd = arm_parts
    disk = signed_image.arm_disk(folder / "signed-arm64.raw", keys.sign(kernel), initrd)
    started = launched(host, keys, disk, "arm64")
    started.wait_for_console(signed_image.LAST_WORDS, timeout_s=BOOT_DEADLINE_S)
    return started


def test_what_is_signed_boots_securely_on_arm64(arm_guest: Guest) -> None:
    assert (told(arm_guest, "secure boot"), told(arm_guest, "setup mode")) == ("1", "0")


def test_an_arm64_guest_has_a_platform_module_in_which_the_keys_are_measured(arm_guest: Guest) -> None:
    assert told(arm_guest, "module") == "2"
    assert set(told(arm_guest, "register 7")) != {"0"}


def test_what_is_not_signed_does_not_boot_on_arm64(
    host: Host, keys: Keys, arm_parts: tuple[Path, Path], folder: Path
) -> None:
    refused = launched(host, keys, signed_image.arm_disk(folder / "unsigned-arm64.raw", *arm_parts), "arm64")

    refused.wait_for_console("Access Denied", timeout_s=BOOT_DEADLINE_S)
    assert "secure boot:" not in refused.console()
