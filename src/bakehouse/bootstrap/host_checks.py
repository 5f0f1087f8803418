"""What `bakehouse doctor` looks at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.bootstrap.drivers import make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.host_memory import capacity_of, host_memory_mib
from bakehouse.domain.public_names import PUBLIC_DOMAIN
from bakehouse.drivers.network.linux.host_names import resolves_public_names
from bakehouse.drivers.process import ProcessFailed
from bakehouse.ports.hypervisor import GuestSupport
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.settings import Settings
from bakehouse.store.database import sqlite_url
from bakehouse.store.database_check import describe_database
from bakehouse.store.postgresql import DatabaseUnusable


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCheck:
    """One thing that `bakehouse doctor` looked at."""

    name: str
    fine: bool
    detail: str


#: Nobody waits longer for a resolver that does not answer.
_LOOKUP_DEADLINE_S: Final = 3.0

#: Architecture -> what to install for it, as Debian and Ubuntu name it.
_GUEST_PACKAGES: Final = {
    "x86_64": "qemu-system-x86 and ovmf",
    "i386": "qemu-system-x86 and ovmf",
    "arm64": "qemu-system-arm and qemu-efi-aarch64",
}


def _guest_check(architecture: str, support: GuestSupport | None) -> HostCheck:
    """Say how guests of an architecture run. One that cannot is no problem until somebody wants it."""
    name = f"{architecture} guests"
    packages = _GUEST_PACKAGES[architecture]
    if support is None:
        return HostCheck(name=name, fine=True, detail=f"none: for them install {packages}")
    detail = f"{support.accelerator}, boot by {' or '.join(sorted(support.boot_modes))}"
    if support.has_secure_boot:
        detail += ", Secure Boot"
    elif "uefi" in support.boot_modes:
        detail += f"; for Secure Boot install a current {packages}"
    if "uefi" not in support.boot_modes:
        detail += f"; for uefi install {packages}"
    elif support.has_tpm:
        detail += "; NitroTPM by swtpm"
    else:
        detail += "; for NitroTPM install swtpm"
    if "uefi" in support.boot_modes and support.has_uefi_data:
        detail += "; UefiData by virt-fw-vars"
    elif "uefi" in support.boot_modes:
        detail += "; for UefiData install virt-firmware (virt-fw-vars)"
    return HostCheck(name=name, fine=True, detail=detail)


def _database_check(home: Path, settings: Settings) -> HostCheck:
    """Say where the records are, and whether it answers."""
    try:
        detail = describe_database(settings.database_url or sqlite_url(home / "bakehouse.db"))
    except DatabaseUnusable as err:
        return HostCheck(name="database", fine=False, detail=f"{err}; {err.hint}")
    return HostCheck(name="database", fine=True, detail=detail)


def _memory_check(settings: Settings) -> HostCheck:
    """Say how much memory all guests together may have."""
    limit = capacity_of(settings).guest_memory_mib
    if limit is None:
        return HostCheck(name="memory", fine=True, detail="simulated guests have none")
    detail = f"{limit} MiB for guests, of {host_memory_mib()} MiB that the host has"
    return HostCheck(name="memory", fine=limit > 0, detail=detail)


async def _names_check(settings: Settings) -> HostCheck:
    """Say what PublicDnsName is. Addresses serve as well as names, so it is no problem."""
    if settings.simulate or settings.name_server_place is None:
        detail = "PublicDnsName is the address itself"
    elif await resolves_public_names(deadline_s=_LOOKUP_DEADLINE_S):
        detail = f"this host resolves names below {PUBLIC_DOMAIN}, and PublicDnsName is such a name"
    else:
        detail = f"PublicDnsName is the address itself, as this host resolves nothing below {PUBLIC_DOMAIN}"
        detail += "; to have names: `bakehouse names`"
    return HostCheck(name="public names", fine=True, detail=detail)


async def examine_host(home: Path, settings: Settings) -> list[HostCheck]:
    """Ask the drivers what this host can do; what they cannot find out is a problem, said in their words."""
    prepare_home(home)
    drivers = make_drivers(home, settings)
    checks = []
    try:
        found = await drivers.hypervisor.capabilities()
        if found.guests:
            reason = f"{found.accelerator}: {found.accelerator_reason}"
            checks.append(HostCheck(name="accelerator", fine=True, detail=reason))
            checks.append(HostCheck(name="hypervisor", fine=True, detail=f"QEMU {found.version}"))
        else:
            checks.append(HostCheck(name="hypervisor", fine=False, detail=found.accelerator_reason))
        checks.extend(_guest_check(architecture, found.guests.get(architecture)) for architecture in _GUEST_PACKAGES)
    except (ProcessFailed, OSError) as err:
        checks.append(HostCheck(name="hypervisor", fine=False, detail=str(err)))
    checks.append(_database_check(home, settings))
    checks.append(_memory_check(settings))
    try:
        network = await drivers.network.capabilities()
        checks.append(HostCheck(name="network", fine=True, detail=f"{network.mode}; outside: {network.outside}"))
        checks.append(HostCheck(name="public addresses", fine=True, detail=network.public_addresses))
        checks.append(await _names_check(settings))
    except (NetworkUnavailable, OSError) as err:
        checks.append(HostCheck(name="network", fine=False, detail=str(err)))
    return checks
