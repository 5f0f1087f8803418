"""Which UEFI a machine boots by, and what its variable store begins with."""

import asyncio

from bakehouse.drivers.hypervisor.qemu import firmware, uefi_variables
from bakehouse.drivers.hypervisor.qemu.firmware import Firmware
from bakehouse.drivers.hypervisor.qemu.platforms import Platform
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.drivers.process import UnixUser
from bakehouse.ports.hypervisor import MachineSpec, UefiDataUnreadable


class FirmwareMissing(Exception):
    """The host has no such build of UEFI."""


async def prepare(spec: MachineSpec, run: RunDirectory, platform: Platform, user: UnixUser | None) -> Firmware:
    """Return the machine's UEFI, after its first time with the variable store that it had.

    A store that begins with a platform key enrolled has the build that enforces Secure Boot, for good.

    Raises:
        FirmwareMissing: There is none, or none that knows Secure Boot.
        uefi_variables.VariablesRefused: What the store is to begin with cannot be read.
    """
    if await asyncio.to_thread(run.has_variables):
        return await _find(platform, secure=run.needs_secure_boot())
    if spec.uefi_data is None:
        found = await _find(platform, secure=False)
        store = await asyncio.to_thread(found.variables.read_bytes)
        await asyncio.to_thread(run.write_variables, store, secure_boot=False)
        return found
    variables = await uefi_variables.read(spec.uefi_data, user)
    found = await _find(platform, secure=variables.enrol_keys)
    store = await uefi_variables.stored(variables, found, user)
    await asyncio.to_thread(run.write_variables, store, secure_boot=variables.enrol_keys)
    return found


async def variables_of(run: RunDirectory, user: UnixUser | None) -> bytes | None:
    """Return a machine's variables as they are now, as EC2's `UefiData` in base64; None when it has none.

    Raises:
        UefiDataUnreadable: The guest has written something else where they were.
    """
    store = await asyncio.to_thread(run.read_variables)
    try:
        return None if store is None else await uefi_variables.told(store, user)
    except uefi_variables.VariablesRefused as err:
        raise UefiDataUnreadable(f"the UEFI variables of {run.machine_id} cannot be read") from err


async def _find(platform: Platform, *, secure: bool) -> Firmware:
    found = await asyncio.to_thread(firmware.find, platform, secure=secure)
    if found is None:
        kind = "that knows Secure Boot " if secure else ""
        raise FirmwareMissing(f"there is no UEFI {kind}for {platform.firmware_architecture} on this host")
    return found
