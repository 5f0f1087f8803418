"""A disk that boots one signed file: kernel, its first programs and its command line in one, as a unified kernel image.

What it starts tells on the console what its firmware says of Secure Boot and what it finds of a platform module.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bakehouse.settings import default_cache

#: Of the package systemd-boot-efi: what the parts are put behind.
STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
PROGRAMS = ("busybox", "cpio", "mcopy", "mkfs.vfat", "objcopy", "openssl", "sbsign", "sfdisk", "virt-fw-vars")

#: The vendor that signs; any will do.
OWNER = "6f5c1b0e-9c66-4a5d-8a37-0d3d2f1c7a55"

#: Told when all is told.
LAST_WORDS = "that is all"

_MIB = 1024 * 1024
_DISK_MIB = 64

_INIT = f"""#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox insmod /efivarfs.ko
busybox mount -t efivarfs efivarfs /sys/firmware/efi/efivars
exec > /dev/ttyS0
echo "secure boot:$(busybox od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-*)"
echo "setup mode:$(busybox od -An -tu1 -j4 /sys/firmware/efi/efivars/SetupMode-*)"
echo "module: $(busybox cat /sys/class/tpm/tpm0/tpm_version_major)"
busybox dmesg | busybox grep secureboot:
echo "{LAST_WORDS}"
while :; do busybox sleep 60; done
"""

#: Where each part of the file goes, behind the stub.
_PLACES = {"osrel": 0x20000, "cmdline": 0x30000, "linux": 0x2000000, "initrd": 0x3000000}


def skip_without_programs() -> None:
    """Skip a test where what makes the disk is missing."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or not STUB.exists():
        pytest.skip(f"{', '.join(missing) or STUB} is not installed")


@dataclass(frozen=True)
class Keys:
    """A key, and a certificate of it that it signed itself."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "Keys":
        folder.mkdir()
        words = "req -x509 -newkey rsa:2048 -nodes -subj /CN=test -days 2 -keyout key -out certificate"
        _run(["openssl", *words.split()], folder)
        return cls(folder)

    def sign(self, file: Path) -> Path:
        """Return a copy of a file that is signed by the key."""
        signed = file.with_suffix(".signed")
        certificate = self.folder / "certificate"
        _run(["sbsign", "--key", self.folder / "key", "--cert", certificate, "--output", signed, file], self.folder)
        return signed

    def enrolled(self) -> str:
        """Return UefiData in which the key is the platform's, may change keys, and may sign what is booted."""
        (self.folder / "empty").write_text("QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB")
        pairs = [(f"--{name}", OWNER, "certificate") for name in ("set-pk", "add-kek", "add-db")]
        words = [word for pair in pairs for word in pair]
        _run(["virt-fw-vars", "-l", "error", "-i", "empty", *words, "--output-aws", "enrolled"], self.folder)
        return (self.folder / "enrolled").read_text()


def unified_kernel(folder: Path) -> Path:
    """Return the file that is booted, unsigned. The kernel is the one that the minimal image was built of."""
    folder.mkdir()
    package = max((default_cache(os.environ) / "apt/amd64/packages").glob("linux-image-[0-9]*-cloud-amd64_*.deb"))
    _run(["dpkg-deb", "-x", package, "unpacked"], folder)
    tree = folder / "tree"
    for name in ("bin", "dev", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin")
    # With its signature: a kernel that was started securely takes no other.
    shutil.copy(next(folder.glob("unpacked/lib/modules/*/kernel/fs/efivarfs/efivarfs.ko")), tree)
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    names = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*")))
    packed = _run(["cpio", "--quiet", "--create", "--format=newc"], tree, stdin=names.encode())
    (folder / "initrd").write_bytes(packed)
    (folder / "cmdline").write_text("console=ttyS0 quiet panic=10")
    (folder / "osrel").write_text("ID=test\n")
    (folder / "linux").symlink_to(next(folder.glob("unpacked/boot/vmlinuz-*")))
    words = [
        word
        for name, place in _PLACES.items()
        for word in (f"--add-section=.{name}={name}", f"--change-section-vma=.{name}={place:#x}")
    ]
    _run(["objcopy", *words, STUB, "unified.efi"], folder)
    return folder / "unified.efi"


def disk(path: Path, loader: Path) -> Path:
    """Make a disk of which the firmware boots this file, and return it."""
    with path.open("wb") as file:
        file.truncate(_DISK_MIB * _MIB)
    _run(["sfdisk", "-q", path], path.parent, stdin=b"label: gpt\nstart=2048,type=uefi\n")
    kib = str((_DISK_MIB - 2) * 1024)
    _run(["mkfs.vfat", "-F", "32", "--offset", "2048", path, kib], path.parent)
    system = f"{path}@@1M"
    _run(["mmd", "-i", system, "::/EFI", "::/EFI/BOOT"], path.parent)
    _run(["mcopy", "-i", system, loader, "::/EFI/BOOT/BOOTX64.EFI"], path.parent)
    return path


def _run(argv: list[str | Path], folder: Path, *, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(argv, cwd=folder, input=stdin, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{argv[0]}: {done.stderr.decode(errors='replace')}"
    return done.stdout
