"""Architectures that images can be baked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


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
        ),
        Architecture(name="i386", debian="i386", triplet="i386-linux-gnu", console="ttyS0", grub_target=None),
        Architecture(
            name="arm64",
            debian="arm64",
            triplet="aarch64-linux-gnu",
            console="ttyAMA0",
            grub_target="arm64-efi",
            removable_loader="BOOTAA64.EFI",
            has_bios=False,
        ),
    )
}
