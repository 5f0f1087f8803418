"""The hypervisor in this host's kernel, by which QEMU can run guests of the host's own processor.

It is KVM on Linux and HVF (Hypervisor.framework) on macOS. HVF was never seen at work by us: tests have a host of their
own making for it, and macOS has no driver for networks.
"""

import asyncio
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers import process

KVM_DEVICE: Final = Path("/dev/kvm")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

#: One line for each. Source: Apple, "Hypervisor", "Supported Hardware", for the second.
_SYSCTLS: Final = ("kern.bootsessionuuid", "kern.hv_support")
_SYSCTL_DEADLINE_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelHypervisor:
    """What the kernel has. Whether it can run a guest is for a guest to prove."""

    name: str
    """As QEMU's `-accel` names it: `kvm` or `hvf`."""
    missing: str | None
    """Why it is not there, in one sentence; None where it is."""
    boot_id: str
    """Another one each time the host boots."""
    access: str
    """Who may use it, and since when."""


def host_is_linux() -> bool:
    """Tell whether QEMU has what only Linux has."""
    return platform.system() == "Linux"


async def look() -> KernelHypervisor:
    """Look at this host's kernel."""
    return await _hvf() if platform.system() == "Darwin" else await asyncio.to_thread(_kvm)


def _kvm() -> KernelHypervisor:
    boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    try:
        status = KVM_DEVICE.stat()
    except FileNotFoundError:
        missing = f"There is no `{KVM_DEVICE}` on this host."
        return KernelHypervisor(name="kvm", missing=missing, boot_id=boot_id, access="missing")
    open_to_us = os.access(KVM_DEVICE, os.R_OK | os.W_OK)
    access = f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {open_to_us} {status.st_ctime_ns}"
    return KernelHypervisor(name="kvm", missing=None, boot_id=boot_id, access=access)


async def _hvf() -> KernelHypervisor:
    # An older macOS does not know the second, and ends with an error.
    done = await process.run(["sysctl", "-n", *_SYSCTLS], timeout_s=_SYSCTL_DEADLINE_S, check=False)
    boot_id, _, support = done.text.strip().partition("\n")
    missing = None if support == "1" else "This Mac's processor or macOS has no Hypervisor.framework."
    return KernelHypervisor(name="hvf", missing=missing, boot_id=boot_id, access=support or "missing")
