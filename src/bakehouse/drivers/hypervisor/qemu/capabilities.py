"""What this host can run: programs, accelerators and firmware, found out once for a server's life."""

import asyncio
from pathlib import Path

from bakehouse.drivers.hypervisor.qemu import accelerator as accelerators
from bakehouse.drivers.hypervisor.qemu import firmware, platform_module, uefi_variables
from bakehouse.drivers.hypervisor.qemu.accelerator import Accelerator
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS, Platform
from bakehouse.drivers.process import UnixUser
from bakehouse.ports.hypervisor import GuestSupport, HypervisorCapabilities, MachineSpec, MachineUnsupported


async def find_capabilities(setting: str, home: Path, user: UnixUser | None) -> HypervisorCapabilities:
    """Look for QEMU and firmware of every architecture, and prove the accelerator of the host's own."""
    guests: dict[str, GuestSupport] = {}
    reads_variables = await uefi_variables.is_usable(user)
    version = ""
    chosen = Accelerator("tcg", f"QEMU is not installed: there is no {PLATFORMS['x86_64'].binary}.")
    # The host's own first, so that it is the one that stands for the host.
    for platform in sorted(dict.fromkeys(PLATFORMS.values()), key=lambda it: not it.is_native):
        its_version = await accelerators.qemu_version(platform.binary)
        boot_modes = await asyncio.to_thread(_boot_modes, platform)
        if its_version is None or not boot_modes:
            continue
        await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
        cache = home / f"accelerator-{platform.firmware_architecture}.json"
        found = await accelerators.choose(setting, platform, version=its_version, cache=cache, user=user)
        if not guests:
            version, chosen = its_version, found
        support = GuestSupport(
            accelerator=found.name,
            accelerator_reason=found.reason,
            boot_modes=boot_modes,
            has_tpm="uefi" in boot_modes and platform_module.is_installed(),
            has_uefi_data=reads_variables and await asyncio.to_thread(_has_store, platform),
            has_secure_boot=await asyncio.to_thread(_has_secure_boot, platform, found.name),
        )
        guests |= {architecture: support for architecture, its in PLATFORMS.items() if its == platform}
    return HypervisorCapabilities(
        accelerator=chosen.name,
        accelerator_reason=chosen.reason,
        isolates=chosen.isolates,
        version=version,
        guests=guests,
    )


def support_of(capabilities: HypervisorCapabilities, spec: MachineSpec) -> GuestSupport:
    """Return how this host runs such a machine.

    Raises:
        MachineUnsupported: It does not.
    """
    support = capabilities.guests.get(spec.architecture)
    if support is None:
        raise MachineUnsupported(f"there is no QEMU for {spec.architecture} on this host")
    if spec.boot_mode not in support.boot_modes:
        raise MachineUnsupported(f"there is no {spec.boot_mode} firmware for {spec.architecture} on this host")
    if spec.has_tpm and not support.has_tpm:
        raise MachineUnsupported("there is no trusted platform module on this host")
    return support


def _has_secure_boot(platform: Platform, accelerator: str) -> bool:
    found = firmware.find(platform, secure=True)
    # Source: QEMU, hw/i386/x86-common.c, x86_machine_is_smm_enabled.
    return found is not None and found.formatted is not None and not (found.needs_smm and accelerator == "hvf")


def _has_store(platform: Platform) -> bool:
    found = firmware.find(platform)
    return found is not None and found.formatted is not None


def _boot_modes(platform: Platform) -> frozenset[str]:
    found = {"legacy-bios"} if platform.has_bios else set()
    if firmware.find(platform) is not None:
        found.add("uefi")
    return frozenset(found)
