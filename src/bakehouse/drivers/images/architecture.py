"""Architectures that images can be baked for."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Emulation:
    """How the kernel finds the emulator of a program: by the program's first bytes.

    Source: QEMU, scripts/qemu-binfmt-conf.sh; Linux, Documentation/admin-guide/binfmt-misc.rst.
    """

    name: str
    """Of its entry in the kernel's table."""
    interpreter: str
    """Of the package qemu-user-static."""
    magic: str
    mask: str

    def registration(self) -> str:
        """Return what is written to binfmt_misc. With F it opens the emulator now, so that a chroot needs none."""
        return f":{self.name}:M::{self.magic}:{self.mask}:{self.interpreter}:F"


_ARM64_EMULATION: Final = Emulation(
    name="qemu-aarch64",
    interpreter="/usr/bin/qemu-aarch64-static",
    magic=r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    mask=r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How one architecture is named by those who take part in a build."""

    name: str
    """As EC2 writes it."""
    debian: str
    triplet: str
    """The folder of libraries."""
    console: str
    """The serial port that machines of it have, as Linux names it."""
    grub_target: str | None
    """UEFI, as GRUB names it; None for one that boots by BIOS only."""
    removable_loader: str = ""
    """The file that UEFI starts from a disk that it knows nothing of. Source: UEFI specification, 3.5.1.1."""
    has_bios: bool = True
    native_to: frozenset[str] = frozenset()
    """Hosts that run its programs themselves, as `uname -m` names them."""
    emulation: Emulation | None = None
    """What runs its programs on other hosts."""

    @property
    def is_native(self) -> bool:
        """Whether this host runs its programs itself."""
        return platform.machine() in self.native_to


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    it.name: it
    for it in (
        Architecture(
            name="x86_64",
            debian="amd64",
            triplet="x86_64-linux-gnu",
            console="ttyS0",
            grub_target="x86_64-efi",
            removable_loader="BOOTX64.EFI",
            native_to=frozenset({"x86_64"}),
        ),
        Architecture(
            name="i386",
            debian="i386",
            triplet="i386-linux-gnu",
            console="ttyS0",
            grub_target=None,
            native_to=frozenset({"x86_64", "i686"}),
        ),
        Architecture(
            name="arm64",
            debian="arm64",
            triplet="aarch64-linux-gnu",
            console="ttyAMA0",
            grub_target="arm64-efi",
            removable_loader="BOOTAA64.EFI",
            has_bios=False,
            native_to=frozenset({"aarch64", "arm64"}),
            emulation=_ARM64_EMULATION,
        ),
    )
}
