"""UEFI firmware that the host has, found by QEMU's own descriptors.

Distributions describe each build in a JSON file, so that nobody needs to know their paths. Files are taken in the order
of their names; one in `/etc` replaces the one of its name in `/usr`, and an empty one hides it.
Source: QEMU, docs/interop/firmware.json.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from bakehouse.drivers.hypervisor.qemu.platforms import Platform

#: Later ones go before earlier ones.
FOLDERS: Final = (Path("/usr/share/qemu/firmware"), Path("/etc/qemu/firmware"))

#: Features that a build for Secure Boot has, and the plainest has not.
_SMM: Final = "requires-smm"
_SECURE_BOOT: Final = "secure-boot"
#: Brings somebody's keys.
_ENROLLED: Final = "enrolled-keys"


@dataclass(frozen=True, slots=True)
class Firmware:
    """A build of UEFI: its code, and the empty variable store that belongs to it. Both are raw files."""

    code: Path
    variables: Path
    needs_smm: bool = False
    """Whether it protects its variables by system management mode, which the machine must have."""


def find(platform: Platform, folders: Iterable[Path] = FOLDERS, *, secure: bool = False) -> Firmware | None:
    """Return the plainest UEFI for a platform, or the one that can do Secure Boot; None when the host has none."""
    for descriptor in _descriptors(folders):
        firmware = described(descriptor, platform, secure=secure)
        if firmware is not None and firmware.code.exists() and firmware.variables.exists():
            return firmware
    return None


def described(descriptor: Mapping[str, Any], platform: Platform, *, secure: bool = False) -> Firmware | None:
    """Return the firmware of a descriptor if it is a UEFI in flash memory for this platform, without keys.

    It is a plain one, or one that can do Secure Boot.
    """
    machine = f"{platform.firmware_machine}-7.2"  # descriptors name versions by patterns such as `virt-*`
    fits = any(
        target.get("architecture") == platform.firmware_architecture
        and any(fnmatchcase(machine, pattern) for pattern in target.get("machines", ()))
        for target in descriptor.get("targets", ())
    )
    mapping = descriptor.get("mapping", {})
    files = mapping.get("executable", {}), mapping.get("nvram-template", {})
    features = frozenset(descriptor.get("features", ()))
    unwanted = {_ENROLLED} if secure else {_ENROLLED, _SECURE_BOOT, _SMM}
    if (
        not fits
        or "uefi" not in descriptor.get("interface-types", ())
        or features & unwanted
        or (secure and _SECURE_BOOT not in features)
        or mapping.get("device") != "flash"
        or any(file.get("format") != "raw" for file in files)
    ):
        return None
    code, variables = (Path(file["filename"]) for file in files)
    return Firmware(code, variables, needs_smm=_SMM in features)


def _descriptors(folders: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    files = {file.name: file for folder in folders if folder.is_dir() for file in folder.glob("*.json")}
    for _, file in sorted(files.items()):
        # One that cannot be read, or is empty, describes nothing.
        with suppress(OSError, ValueError):
            descriptor = json.loads(file.read_bytes())
            if isinstance(descriptor, dict):
                yield descriptor
