"""Finding out how networks can be made on this host, and what is missing where they cannot."""

import ctypes
import os
import resource
import sys
from pathlib import Path
from typing import Final, Literal

from bakehouse.drivers import process
from bakehouse.drivers.network.linux import programs
from bakehouse.drivers.network.linux.uplink import PROGRAM as UPLINK_PROGRAM
from bakehouse.ports.network import NetworkUnavailable

Mode = Literal["root", "rootless"]

#: Bits of capabilities. Source: linux/capability.h.
_CAP_NET_BIND_SERVICE: Final = 10
_CAP_NET_ADMIN: Final = 12
_CAP_SYS_ADMIN: Final = 21

_ENOUGH_FILES: Final = 65_536
_KERNEL: Final = Path("/proc/sys")
_TRIAL_TIMEOUT_S: Final = 20
_TRIAL: Final = "from bakehouse.drivers.network.linux.namespaces import enter_new; enter_new(rootless={rootless})"

#: What forbids user namespaces, the value that does, and what allows them again.
_GATES: Final = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
)


def choose_mode(wish: Literal["auto", "root", "rootless"]) -> Mode:
    """Return the mode for a wish: with `auto`, root when we have its capabilities."""
    if wish == "auto":
        return "root" if _may(_CAP_NET_ADMIN) and _may(_CAP_SYS_ADMIN) else "rootless"
    return wish


def lowest_port() -> int:
    """Return the lowest port that we may listen on, 0 when any."""
    if _may(_CAP_NET_BIND_SERVICE):
        return 0
    return int((_KERNEL / "net/ipv4/ip_unprivileged_port_start").read_text())


def allow_open_files() -> int:
    """Let this process have as many files as it may, and return how many that is.

    A forwarder has a listening socket per open port; the usual 1,024 files are 16 interfaces with 64 ports.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _ENOUGH_FILES if soft == resource.RLIM_INFINITY else soft


def has_way_outside() -> bool:
    """Tell whether the program is there by which guests reach the outside."""
    return programs.find(UPLINK_PROGRAM) is not None


async def prove(mode: Mode, tun_device: Path) -> None:
    """Try what the mode needs.

    Raises:
        NetworkUnavailable: Something is missing; the text says what, and the next step.
    """
    missing = []
    if programs.find("dnsmasq") is None:
        missing.append("dnsmasq-base")
    try:
        ctypes.CDLL("libnftables.so.1")
    except OSError:
        missing.append("nftables")
    if missing:
        raise NetworkUnavailable(f"not installed: `apt install {' '.join(missing)}`")
    _prove_tap(tun_device)
    trial = _TRIAL.format(rootless=mode == "rootless")
    try:
        await process.run([sys.executable, "-P", "-c", trial], timeout_s=_TRIAL_TIMEOUT_S)
    except process.ProcessFailed as err:
        raise NetworkUnavailable(_why_no_namespace(mode)) from err


def _prove_tap(device: Path) -> None:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError as err:
        raise NetworkUnavailable(
            f"cannot open `{device}`: permission denied; `sudo chmod 0666 {device}` allows it, as Debian has it"
        ) from err
    except OSError as err:
        raise NetworkUnavailable(f"cannot open `{device}`: {err.strerror}; `sudo modprobe tun` makes it") from err


def _why_no_namespace(mode: Mode) -> str:
    if mode == "root":
        return "cannot make a network namespace: CAP_SYS_ADMIN and CAP_NET_ADMIN are needed, or rootless mode"
    for file, closed, remedy in _GATES:
        try:
            value = (_KERNEL / file).read_text().strip()
        except OSError:
            continue
        if value == closed:
            return f"this host forbids user namespaces to ordinary users; `sudo sysctl {remedy}` allows them"
    return "this host does not let ordinary users make user namespaces; run as root, or ask its administrator"


def _may(capability: int) -> bool:
    """Tell whether this process has a capability."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False
