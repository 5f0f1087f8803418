"""The computers that QEMU makes: one for each architecture that guests have."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Under emulation: x86-64-v2, which distributions of the RHEL 9 and Amazon Linux 2023 generation need, and RDRAND,
#: without which Linux waits for entropy. `max` has more and is a tenth slower to boot.
_X86_CPU: Final = "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"

#: Under emulation: what Graviton2 is made of. `max` has pointer authentication, which takes twice the time to emulate.
_ARM_CPU: Final = "neoverse-n1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A kind of computer."""

    binary: str
    """QEMU's program."""
    machine: str
    """Of `-machine`: what boots by UEFI adds its flash memory."""
    emulated_cpu: str
    firmware_architecture: str
    firmware_machine: str
    """As firmware descriptors name architecture and machine. Source: QEMU, docs/interop/firmware.json."""
    has_bios: bool
    panic_device: str
    tpm_device: str
    """QEMU's trusted platform module for it."""
    screen: str
    """QEMU's display: what its firmware and an unprepared guest can draw on."""
    has_generation_id: bool
    """Whether QEMU has a vmgenid device for it."""
    native_to: frozenset[str]
    """Hosts whose own processor can run it, as `uname -m` names them."""

    @property
    def is_native(self) -> bool:
        """Whether this host's processor can run it, if something lets it."""
        return platform.machine() in self.native_to


_X86: Final = Platform(
    binary="qemu-system-x86_64",
    machine="q35,vmport=off",
    emulated_cpu=_X86_CPU,
    firmware_architecture="x86_64",
    firmware_machine="pc-q35",
    has_bios=True,
    panic_device="pvpanic",
    tpm_device="tpm-crb",  # as NitroTPM
    screen="VGA,addr=0x1",
    has_generation_id=True,
    native_to=frozenset({"x86_64"}),
)
_ARM: Final = Platform(
    binary="qemu-system-aarch64",
    # Memory above 4 GiB (`highmem`) is on by default, and has to be for HVF from QEMU 7.0 on (lima-vm/lima issue 680).
    machine="virt,gic-version=3",
    emulated_cpu=_ARM_CPU,
    firmware_architecture="aarch64",
    firmware_machine="virt",
    has_bios=False,
    panic_device="pvpanic-pci",
    tpm_device="tpm-tis-device",  # there is no other for this machine
    screen="ramfb",
    has_generation_id=False,
    native_to=frozenset({"aarch64", "arm64"}),
)

#: Architecture, as EC2 names it -> its computer. A 32-bit guest sees a 64-bit processor, as on EC2.
PLATFORMS: Final[Mapping[str, Platform]] = {"x86_64": _X86, "i386": _X86, "arm64": _ARM}
