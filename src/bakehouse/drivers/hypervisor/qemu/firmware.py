"""UEFI firmware that the host has, found by QEMU's own descriptors.

Distributions describe each build in a JSON file, so that nobody needs to know their paths. Files are taken in the order
of their names; one in `/etc` replaces the one of its name in `/usr`, and an empty one hides it.
Source: QEMU, docs/interop/firmware.json.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
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

#: Source: UEFI Platform Initialization Specification, volume 3, firmware volume header: zeros, and a signature.
_ZEROS: Final = slice(0, 16)
_SIGNATURE: Final = slice(40, 44)


@dataclass(frozen=True, slots=True)
class Firmware:
    """A build of UEFI: its code, and the empty variable store that belongs to it. Both are raw files."""

    code: Path
    variables: Path
    needs_smm: bool = False
    """Whether it protects its variables by system management mode, which the machine must have."""
    formatted: Path | None = None
    """A store that variables can be written to: `variables`, or where that is blank, as AAVMF's is until it has been
    booted with, one that comes with the same code and may have variables; None where there is none."""


def find(platform: Platform, folders: Iterable[Path] = FOLDERS, *, secure: bool = False) -> Firmware | None:
    """Return the plainest UEFI for a platform, or the one that can do Secure Boot; None when the host has none.

    Where no build is described that does Secure Boot and begins without keys, a plain one will do that another
    descriptor, of a build with keys, has the code of. Debian 12 describes its AAVMF so: its one build is
    `AAVMF_CODE.fd`, `AAVMF_CODE.ms.fd` is a link to it, and the descriptor that fits names `AAVMF_CODE.secboot.fd`,
    which came with Debian 13 only.
    """
    descriptors = list(_descriptors(folders))
    found = [described(it, platform, secure=secure) for it in descriptors]
    if secure:
        able = {it.code.resolve() for it in (_with_keys(each, platform) for each in descriptors) if it is not None}
        plain = (described(it, platform) for it in descriptors)
        found += [it for it in plain if it is not None and it.code.resolve() in able]
    for firmware in found:
        if firmware is not None and firmware.code.exists() and firmware.variables.exists():
            code = firmware.code.resolve()
            others = (it for it in (_in_flash(each, platform) for each in descriptors) if it is not None)
            stores = (firmware.variables, *(it.variables for it in others if it.code.resolve() == code))
            return replace(firmware, formatted=next(filter(_is_formatted, stores), None))
    return None


def is_volume(beginning: bytes) -> bool:
    """Tell whether a flash memory that begins so holds a variable store. It takes 44 bytes."""
    return beginning[_SIGNATURE] == b"_FVH" and not any(beginning[_ZEROS])


def _is_formatted(store: Path) -> bool:
    try:
        with store.open("rb") as file:
            return is_volume(file.read(_SIGNATURE.stop))
    except OSError:
        return False


def described(descriptor: Mapping[str, Any], platform: Platform, *, secure: bool = False) -> Firmware | None:
    """Return the firmware of a descriptor if it is a UEFI in flash memory for this platform, without keys.

    It is a plain one, or one that can do Secure Boot.
    """
    features = frozenset(descriptor.get("features", ()))
    unwanted = {_ENROLLED} if secure else {_ENROLLED, _SECURE_BOOT, _SMM}
    if features & unwanted or (secure and _SECURE_BOOT not in features):
        return None
    return _in_flash(descriptor, platform)


def _with_keys(descriptor: Mapping[str, Any], platform: Platform) -> Firmware | None:
    """Return the firmware of a descriptor if it does Secure Boot and begins with somebody's keys."""
    wanted = {_ENROLLED, _SECURE_BOOT}
    return _in_flash(descriptor, platform) if wanted <= set(descriptor.get("features", ())) else None


def _in_flash(descriptor: Mapping[str, Any], platform: Platform) -> Firmware | None:
    machine = f"{platform.firmware_machine}-7.2"  # descriptors name versions by patterns such as `virt-*`
    fits = any(
        target.get("architecture") == platform.firmware_architecture
        and any(fnmatchcase(machine, pattern) for pattern in target.get("machines", ()))
        for target in descriptor.get("targets", ())
    )
    mapping = descriptor.get("mapping", {})
    files = mapping.get("executable", {}), mapping.get("nvram-template", {})
    if (
        not fits
        or "uefi" not in descriptor.get("interface-types", ())
        or mapping.get("device") != "flash"
        or any(file.get("format") != "raw" for file in files)
    ):
        return None
    code, variables = (Path(file["filename"]) for file in files)
    return Firmware(code, variables, needs_smm=_SMM in descriptor.get("features", ()))


def _descriptors(folders: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    files = {file.name: file for folder in folders if folder.is_dir() for file in folder.glob("*.json")}
    for _, file in sorted(files.items()):
        # One that cannot be read, or is empty, describes nothing.
        with suppress(OSError, ValueError):
            descriptor = json.loads(file.read_bytes())
            if isinstance(descriptor, dict):
                yield descriptor
