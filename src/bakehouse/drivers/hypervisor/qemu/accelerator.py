"""Which accelerator runs a guest on this host: proved by running one.

That `/dev/kvm` is there and opens says little. In nested or half-virtualised hosts it may refuse the processor
(`-cpu host` dies at once), or emulate every instruction of the kernel and be far slower than QEMU's own
emulation. So a guest of some bytes must say one letter and leave within a second. An architecture that is not the
host's own is emulated, which needs no proof. On macOS the same guest proves HVF (`kernel_hypervisor.py`).
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import kernel_hypervisor
from bakehouse.drivers.hypervisor.qemu.kernel_hypervisor import KernelHypervisor
from bakehouse.drivers.hypervisor.qemu.platforms import Platform
from bakehouse.drivers.process import UnixUser

SETTINGS: Final = ("auto", "hvf", "kvm", "tcg")
PROBE_LIMIT_S: Final = 1.0

_PROBE_LETTER: Final = b"K"


@dataclass(frozen=True, slots=True)
class Probe:
    """A guest that says its letter on the serial port and ends QEMU."""

    code: bytes
    status: int
    """With which QEMU ends."""
    machine: tuple[str, ...]
    """QEMU's arguments for it; `{code}` stands for the path of its code."""


#: A boot sector: mov dx,3f8; mov al,'K'; out dx,al; mov dx,501; mov al,10h; out dx,al; hlt; jmp $-1
_X86_PROBE: Final = Probe(
    code=bytes.fromhex("baf803 b04b ee ba0105 b010 ee f4 ebfd").ljust(510, b"\0") + b"\x55\xaa",
    # isa-debug-exit ends QEMU with twice the written byte plus one.
    status=0x10 * 2 + 1,
    machine=(
        # SeaBIOS boots so small a disk only by IDE, and not on q35.
        "-machine", "pc",
        "-device", "isa-debug-exit,iobase=0x501,iosize=1",
        "-drive", "if=ide,format=raw,file={code}",
    ),
)  # fmt: skip

#: A kernel: x0 = the serial port; w1 = 'K'; strb w1,[x0]; w0 = PSCI SYSTEM_OFF; hvc 0; b .
_ARM_PROBE: Final = Probe(
    code=b"".join(
        word.to_bytes(4, "little")
        for word in (0xD2A12000, 0x52800961, 0x39000001, 0x52B08000, 0x72800100, 0xD4000002, 0x14000000)
    ),
    status=0,
    machine=("-machine", "virt,gic-version=3", "-kernel", "{code}"),
)

_PROBES: Final = {"qemu-system-x86_64": _X86_PROBE, "qemu-system-aarch64": _ARM_PROBE}

#: With which QEMU begins what it says.
_PROGRAM: Final = re.compile(r"^qemu-system-\S+: ")

_VERSION: Final = re.compile(r"version (\S+)")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What runs the guests, and how that was found out, in one sentence."""

    name: str
    """`kvm`, `hvf` or `tcg`."""
    reason: str

    @property
    def isolates(self) -> bool:
        """Whether QEMU promises isolation. Source: QEMU, "Security", "Non-virtualization Use Case"."""
        return self.name != "tcg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """On what a verdict rests. It holds as long as these stay as they are."""

    boot_id: str
    qemu_version: str
    device: str
    """Who may use the kernel's hypervisor, and since when."""
    user: str
    """Who QEMU runs as, with what groups."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the cache file holds."""

    circumstances: Circumstances
    accelerator: Accelerator


def judge(name: str, *, wanted: int, output: bytes, status: int | None, errors: str) -> Accelerator:
    """Judge an accelerator by what the test guest did, which should end QEMU with the status `wanted`.

    `status` is None when its time was up.
    """
    if status is None:
        return Accelerator("tcg", f"A test guest did not finish within {PROBE_LIMIT_S:g} s under {name}.")
    if status == wanted and _PROBE_LETTER in output:
        return Accelerator(name, f"A test guest ran under {name}.")
    lines = errors.strip().splitlines()
    why = _PROGRAM.sub("", lines[0]) if lines else f"QEMU ended with status {status}"
    return Accelerator("tcg", f"A test guest did not run under {name}: {why.rstrip('.')}.")


async def choose(setting: str, platform: Platform, *, version: str, cache: Path, user: UnixUser | None) -> Accelerator:
    """Return a platform's accelerator for a setting of `auto`, `kvm`, `hvf` or `tcg`; only `auto` is tried out.

    The verdict is kept in the file `cache` until the host boots, QEMU changes or access to KVM or HVF changes.
    """
    if not platform.is_native:
        return Accelerator("tcg", "The processor is not the host's own, so it is emulated.")
    if setting != "auto":
        return Accelerator(setting, "Chosen in the settings; not tried.")
    kernel = await kernel_hypervisor.look()
    circumstances = _circumstances(kernel, version, user)
    verdict = await asyncio.to_thread(_read, cache)
    if verdict is not None and verdict.circumstances == circumstances:
        return verdict.accelerator
    if kernel.missing is not None:
        accelerator = Accelerator("tcg", kernel.missing)
    elif not await offers(platform.binary, kernel.name):
        accelerator = Accelerator("tcg", f"This QEMU was built without {kernel.name}.")
    else:
        accelerator = await prove(kernel.name, binary=platform.binary, user=user)
    # The cache saves a second at most; a home that cannot be written shows itself elsewhere.
    with suppress(OSError):
        await asyncio.to_thread(_write, cache, Verdict(circumstances, accelerator))
    return accelerator


async def qemu_version(binary: str) -> str | None:
    """Return QEMU's version, such as `7.2.22`; None when it is not installed."""
    try:
        done = await process.run([binary, "--version"], timeout_s=30)
    except process.ProcessFailed:
        return None
    found = _VERSION.search(done.text)
    return found[1] if found else None


async def offers(binary: str, name: str) -> bool:
    """Tell whether QEMU was built with an accelerator. Source: QEMU, `-accel help`: one name on each line."""
    done = await process.run([binary, "-accel", "help"], timeout_s=30, check=False)
    return name in done.text.split()


async def prove(name: str, *, binary: str, user: UnixUser | None) -> Accelerator:
    """Run the test guest under an accelerator and judge it."""
    probe = _PROBES[Path(binary).name]
    try:
        with _file_of(probe.code) as (path, descriptors):
            done = await process.run(
                _probe_argv(name, binary, probe, path),
                timeout_s=PROBE_LIMIT_S,
                check=False,
                pass_fds=descriptors,
                user=user,
            )
    except process.ProcessTimedOut:
        return judge(name, wanted=probe.status, output=b"", status=None, errors="")
    errors = done.stderr.decode(errors="replace")
    return judge(name, wanted=probe.status, output=done.stdout, status=done.returncode, errors=errors)


@contextmanager
def _file_of(code: bytes) -> Iterator[tuple[str, list[int]]]:
    """Give the path by which QEMU, whoever it runs as, reads a guest's code, and the descriptors that it inherits."""
    if kernel_hypervisor.host_is_linux():
        with os.fdopen(os.memfd_create("probe", os.MFD_CLOEXEC), "wb", buffering=0) as file:
            file.write(code)
            yield f"/proc/self/fd/{file.fileno()}", [file.fileno()]
        return
    with tempfile.NamedTemporaryFile(prefix="bakehouse-probe-", buffering=0) as named:
        os.fchmod(named.fileno(), 0o644)
        named.write(code)
        yield named.name, []


def _probe_argv(name: str, binary: str, probe: Probe, code: str) -> list[str]:
    return [
        binary,
        "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
        "-accel", name,
        "-cpu", "max" if name == "tcg" else "host",
        "-m", "32",
        "-serial", "stdio",
        *(argument.format(code=code) for argument in probe.machine),
    ]  # fmt: skip


def _circumstances(kernel: KernelHypervisor, version: str, user: UnixUser | None) -> Circumstances:
    it = user or UnixUser(os.getuid(), os.getgid(), tuple(os.getgroups()))
    who = f"{it.uid}:{it.gid} {sorted(it.groups)}"
    return Circumstances(boot_id=kernel.boot_id, qemu_version=version, device=kernel.access, user=who)


def _read(cache: Path) -> Verdict | None:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=Verdict)
    except (OSError, msgspec.DecodeError):
        return None


def _write(cache: Path, verdict: Verdict) -> None:
    new = cache.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=1))
    new.replace(cache)
