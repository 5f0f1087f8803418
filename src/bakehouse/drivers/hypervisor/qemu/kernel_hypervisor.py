"""The hypervisor in this host's kernel, by which QEMU can run guests of the host's own processor.

It is KVM on Linux and HVF (Hypervisor.framework) on macOS. HVF was never seen at work by us: tests have a host of their
own making for it, and macOS has no driver for networks.
"""

import asyncio
import grp
import os
import platform
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers import process

KVM_DEVICE: Final = Path("/dev/kvm")
_GROUP_MAY_USE: Final = stat.S_IRGRP | stat.S_IWGRP
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
        nowhere = f"There is no `{KVM_DEVICE}` on this host."
        return KernelHypervisor(name="kvm", missing=nowhere, boot_id=boot_id, access="missing")
    open_to_us = os.access(KVM_DEVICE, os.R_OK | os.W_OK)
    access = f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {open_to_us} {status.st_ctime_ns}"
    missing = None if open_to_us else f"`{KVM_DEVICE}` is closed to this user{_way_in(status)}."
    return KernelHypervisor(name="kvm", missing=missing, boot_id=boot_id, access=access)


def _way_in(status: os.stat_result) -> str:
    """Say how somebody gets to open a device that a group may: Debian gives `/dev/kvm` to the group kvm."""
    if status.st_gid == 0 or status.st_mode & _GROUP_MAY_USE != _GROUP_MAY_USE:
        return ""
    try:
        group, user = grp.getgrgid(status.st_gid).gr_name, pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
    return f"; as root `usermod -aG {group} {user}`, then log in again and start the server anew"


async def _hvf() -> KernelHypervisor:
    # An older macOS does not know the second, and ends with an error.
    done = await process.run(["sysctl", "-n", *_SYSCTLS], timeout_s=_SYSCTL_DEADLINE_S, check=False)
    boot_id, _, support = done.text.strip().partition("\n")
    missing = None if support == "1" else "This Mac's processor or macOS has no Hypervisor.framework."
    return KernelHypervisor(name="hvf", missing=missing, boot_id=boot_id, access=support or "missing")
