"""UEFI's variables between EC2's form (`UefiData`) and the flash memory of a machine, by the program `virt-fw-vars`.

The program is virt-firmware's, run as a program of its own and only where somebody installed it: its licence is not
ours. What it reads comes from strangers, a guest's flash memory above all, so it runs as the user that machines run as.
It tells variables apart by their names alone: of two that differ only in their vendor, one is lost.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu.firmware import Firmware, is_volume
from bakehouse.drivers.process import UnixUser

PROGRAM: Final = "virt-fw-vars"

#: It takes 0.2 s; on a busy host seconds.
_DEADLINE_S: Final = 30.0

#: `UefiData` in which nothing is.
_NO_VARIABLES: Final = b"QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB"

#: The vendor of UEFI's own variables. Source: UEFI Specification, EFI_GLOBAL_VARIABLE.
_GLOBAL: Final = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


class VariablesRefused(Exception):
    """They cannot be read, or do not fit into the machine's flash memory."""


@dataclass(frozen=True, slots=True)
class Variables:
    """What `UefiData` says, in a form that the program reads and writes."""

    text: bytes

    @property
    def enrol_keys(self) -> bool:
        """Whether there is a platform key, with which Secure Boot is in force."""
        return any(it["name"] == "PK" and it["guid"] == _GLOBAL and it["data"] for it in self._all())

    def names(self) -> Sequence[str]:
        """Return what they are called."""
        return sorted({it["name"] for it in self._all()})

    def _all(self) -> Sequence[Mapping[str, str]]:
        found: Sequence[Mapping[str, str]] = json.loads(self.text)["variables"]
        return found


async def is_usable(user: UnixUser | None) -> bool:
    """Tell whether the program is here and the user that machines run as may run it."""
    if shutil.which(PROGRAM) is None:
        return False
    try:
        await _run(["--help"], Path("/"), user)
    except (VariablesRefused, OSError):
        return False
    return True


async def read(data: bytes, user: UnixUser | None) -> Variables:
    """Return the variables of `UefiData`, as it is in base64.

    Raises:
        VariablesRefused: It is damaged, or the program is missing.
    """
    with _workspace(user) as folder:
        (folder / "given").write_bytes(data)
        await _run(["--input", "given", "--output-json", "variables"], folder, user)
        return Variables(_result(folder / "variables"))


async def stored(variables: Variables, firmware: Firmware, user: UnixUser | None) -> bytes:
    """Return a machine's flash memory: an empty one with these variables in it.

    Raises:
        VariablesRefused: They do not fit, or the firmware comes with no flash memory that could be written to.
    """
    if firmware.formatted is None:
        raise VariablesRefused(f"{firmware.variables} is blank")
    with _workspace(user) as folder:
        (folder / "variables").write_bytes(variables.text)
        not_ours: list[str | Path] = []
        if firmware.formatted != firmware.variables:
            await _run(["--input", firmware.formatted, "--output-json", "before"], folder, user)
            before = Variables(_result(folder / "before"))
            not_ours = [word for name in before.names() for word in ("--delete", name)]
        into = ["--set-json", "variables", "--output", "store"]
        await _run(["--input", firmware.formatted, *not_ours, *into], folder, user)
        return _result(folder / "store")


async def told(store: bytes, user: UnixUser | None) -> bytes:
    """Return the variables in a machine's flash memory as `UefiData`, in base64: none in a blank one.

    Raises:
        VariablesRefused: The guest has written something else there.
    """
    if store.count(0) == len(store):
        return _NO_VARIABLES  # an arm64 machine's, until its firmware has formatted it
    if not is_volume(store):
        # Anything else the program might take for a disk image that names other files.
        raise VariablesRefused("the machine's flash memory holds no variables")
    with _workspace(user) as folder:
        (folder / "store").write_bytes(store)
        await _run(["--input", "store", "--output-aws", "told"], folder, user)
        return _result(folder / "told")


@contextmanager
def _workspace(user: UnixUser | None) -> Iterator[Path]:
    """Give a folder that the program may write to; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bakehouse-uefi-") as name:
        if user is not None:
            os.chown(name, user.uid, user.gid)
        yield Path(name)


async def _run(arguments: list[str | Path], folder: Path, user: UnixUser | None) -> None:
    try:
        await process.run(
            [PROGRAM, *arguments],
            cwd=folder,
            timeout_s=_DEADLINE_S,
            user=None if user is None else replace(user, groups=()),
        )
    except process.ProcessFailed as err:
        raise VariablesRefused(str(err)) from err


def _result(path: Path) -> bytes:
    """Return what the program wrote, and nothing that it points to."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
