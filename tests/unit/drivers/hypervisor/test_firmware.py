"""UEFI firmware is found by QEMU's descriptors."""

import json
from pathlib import Path
from typing import Any

import pytest

from bakehouse.drivers.hypervisor.qemu.firmware import Firmware, described, find
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS

X86 = PLATFORMS["x86_64"]

#: How a variable store begins.
VOLUME = bytes(16) + b"guid, and a size of it  " + b"_FVH" + b"more"


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


def debian_12(folder: Path) -> None:
    """Write the descriptors of Debian 12's AAVMF: one names a file that is not there, another one a link."""
    (folder / "code.ms").symlink_to("code")
    (folder / "vars.ms").touch()

    def write(name: str, code: str, variables: str, features: list[str]) -> None:
        parts = {"executable": code, "nvram-template": variables}
        mapping = {part: {"filename": str(folder / file), "format": "raw"} for part, file in parts.items()}
        described = descriptor(folder, features=features, mapping={"device": "flash"} | mapping)
        (folder / name).write_text(json.dumps(described))

    write("40-enrolled.json", "code.ms", "vars.ms", ["enrolled-keys", "secure-boot"])
    write("50-secure.json", "code.secboot", "vars", ["secure-boot"])
    write("60-plain.json", "code", "vars", [])


def test_a_plain_build_does_secure_boot_that_is_described_so_with_somebodys_keys(folder: Path) -> None:
    debian_12(folder)

    assert find(X86, [folder], secure=True) == firmware_of(folder)


def test_a_build_for_secure_boot_goes_before_a_plain_one_that_can_do_it(folder: Path) -> None:
    debian_12(folder)
    (folder / "code.secboot").touch()

    assert find(X86, [folder], secure=True) == Firmware(folder / "code.secboot", folder / "vars")


def test_a_plain_build_of_other_code_does_no_secure_boot(folder: Path) -> None:
    debian_12(folder)
    (folder / "code.ms").unlink()
    (folder / "code.ms").touch()

    assert find(X86, [folder], secure=True) is None


def test_variables_are_written_to_the_store_that_a_build_begins_with(folder: Path) -> None:
    (folder / "vars").write_bytes(VOLUME)
    (folder / "20-here.json").write_text(json.dumps(descriptor(folder)))

    assert find(X86, [folder]) == Firmware(folder / "code", folder / "vars", formatted=folder / "vars")


def test_where_that_is_blank_they_are_written_to_one_of_the_same_code(folder: Path) -> None:
    debian_12(folder)
    (folder / "vars").write_bytes(bytes(len(VOLUME)))
    (folder / "vars.ms").write_bytes(VOLUME)

    assert find(X86, [folder], secure=True) == Firmware(folder / "code", folder / "vars", formatted=folder / "vars.ms")


def test_a_store_of_other_code_is_not_taken(folder: Path) -> None:
    debian_12(folder)
    (folder / "vars.ms").write_bytes(VOLUME)
    (folder / "code.ms").unlink()
    (folder / "code.ms").touch()

    assert find(X86, [folder]) == firmware_of(folder)
