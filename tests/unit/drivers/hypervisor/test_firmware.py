"""UEFI firmware is found by QEMU's descriptors."""

import json
from pathlib import Path
from typing import Any

import pytest

from bakehouse.drivers.hypervisor.qemu.firmware import Firmware, described, find
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS

X86 = PLATFORMS["x86_64"]


def descriptor(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(folder / "code"), "format": "raw"},
            "nvram-template": {"filename": str(folder / "vars"), "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": ["acpi-s3", "verbose-dynamic"],
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("code", "vars"):
        (tmp_path / name).touch()
    return tmp_path


def firmware_of(folder: Path) -> Firmware:
    return Firmware(folder / "code", folder / "vars")


def test_a_plain_build_for_the_platform_is_taken(folder: Path) -> None:
    assert described(descriptor(folder), X86) == firmware_of(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"interface-types": ["bios"]},
        {"features": ["requires-smm", "secure-boot"]},
        {"features": ["enrolled-keys"]},
        {"targets": [{"architecture": "aarch64", "machines": ["virt-*"]}]},
        {"targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}]},
        {"mapping": {"device": "memory", "filename": "/code"}},
        {"mapping": {}},
    ],
)
def test_other_builds_are_passed_over(folder: Path, changes: dict[str, Any]) -> None:
    assert described(descriptor(folder, **changes), X86) is None


def test_the_first_by_name_whose_files_exist_is_found(folder: Path) -> None:
    (folder / "10-gone.json").write_text(json.dumps(descriptor(folder / "gone")))
    (folder / "20-here.json").write_text(json.dumps(descriptor(folder)))

    assert find(X86, [folder]) == firmware_of(folder)


def test_a_file_of_the_same_name_in_a_later_folder_replaces_one(folder: Path) -> None:
    (folder / "etc").mkdir()
    (folder / "20-here.json").write_text(json.dumps(descriptor(folder)))
    (folder / "etc" / "20-here.json").touch()

    assert find(X86, [folder, folder / "etc"]) is None


def test_a_host_without_descriptors_has_none(tmp_path: Path) -> None:
    assert find(X86, [tmp_path / "missing"]) is None


def test_a_build_for_secure_boot_is_taken_where_that_is_wanted(folder: Path) -> None:
    secure = descriptor(folder, features=["requires-smm", "secure-boot"])

    assert described(secure, X86, secure=True) == Firmware(folder / "code", folder / "vars", needs_smm=True)


@pytest.mark.parametrize("features", [["acpi-s3"], ["secure-boot", "requires-smm", "enrolled-keys"]])
def test_a_plain_build_and_one_with_somebodys_keys_are_not_for_secure_boot(folder: Path, features: list[str]) -> None:
    assert described(descriptor(folder, features=features), X86, secure=True) is None
