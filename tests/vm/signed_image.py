"""A disk that boots one signed file, for x86_64 and for arm64.

For x86_64 it is kernel, first programs and command line in one, as a unified kernel image. For arm64, of which a host
of another architecture has no stub to put them behind, it is the kernel alone: the rest lies beside it, and a boot
entry among the variables says so.

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
for module in /*.ko; do busybox insmod $module; done
busybox mount -t efivarfs efivarfs /sys/firmware/efi/efivars
exec > /dev/CONSOLE
echo "secure boot:$(busybox od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-*)"
echo "setup mode:$(busybox od -An -tu1 -j4 /sys/firmware/efi/efivars/SetupMode-*)"
echo "module: $(busybox cat /sys/class/tpm/tpm0/tpm_version_major)"
echo "register 7: $(busybox cat /sys/class/tpm/tpm0/pcr-sha256/7)"
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

    def enrolled(self, boot_entry: str | None = None) -> str:
        """Return UefiData in which the key is the platform's, may change keys, and may sign what is booted.

        With a boot entry that is what is booted where a disk has nothing at the usual place.
        """
        (self.folder / "empty").write_text("QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB")
        pairs = [(f"--{name}", OWNER, "certificate") for name in ("set-pk", "add-kek", "add-db")]
        words = [word for pair in pairs for word in pair]
        if boot_entry is not None:
            words += ["--append-boot-filepath", boot_entry]
        _run(["virt-fw-vars", "-l", "error", "-i", "empty", *words, "--output-aws", "enrolled"], self.folder)
        return (self.folder / "enrolled").read_text()


def unified_kernel(folder: Path) -> Path:
    """Return the file that is booted, unsigned. The kernel is the one that the minimal image was built of."""
    kernel, _ = _parts(folder, "amd64", Path("/bin/busybox"), ["fs/efivarfs/efivarfs.ko"], "ttyS0")
    (folder / "cmdline").write_text("console=ttyS0 quiet panic=10")
    (folder / "osrel").write_text("ID=test\n")
    (folder / "linux").symlink_to(kernel)
    words = [
        word
        for name, place in _PLACES.items()
        for word in (f"--add-section=.{name}={name}", f"--change-section-vma=.{name}={place:#x}")
    ]
    _run(["objcopy", *words, STUB, "unified.efi"], folder)
    return folder / "unified.efi"


def disk(path: Path, loader: Path) -> Path:
    """Make a disk of which the firmware boots this file, and return it."""
    return _system_partition(path, {"EFI/BOOT/BOOTX64.EFI": loader})


def arm_parts(folder: Path) -> tuple[Path, Path]:
    """Return kernel and initrd for arm64, of the packages that the minimal image was built of. Neither is signed."""
    (folder / "busybox").mkdir(parents=True)
    _run(["dpkg-deb", "-x", _package("arm64", "busybox-static_*"), "unpacked"], folder / "busybox")
    modules = ["fs/efivarfs/efivarfs.ko", "drivers/char/tpm/tpm_tis_core.ko", "drivers/char/tpm/tpm_tis.ko"]
    return _parts(folder / "kernel", "arm64", folder / "busybox/unpacked/bin/busybox", modules, "ttyAMA0")


def arm_disk(path: Path, kernel: Path, initrd: Path) -> Path:
    """Make a disk of which `ARM_ENTRY` boots this kernel, and return it."""
    return _system_partition(path, {"linux.efi": kernel, "initrd": initrd})


#: What boots `arm_disk`: a file of whichever disk has it, and its command line.
ARM_ENTRY = "/linux.efi console=ttyAMA0 initrd=/initrd quiet panic=10"


def _package(debian: str, pattern: str) -> Path:
    return max((default_cache(os.environ) / f"apt/{debian}/packages").glob(f"{pattern}_{debian}.deb"))


def _parts(folder: Path, debian: str, busybox: Path, modules: list[str], console: str) -> tuple[Path, Path]:
    """Return the kernel of an architecture, and an initrd with these modules whose program talks on this console."""
    folder.mkdir()
    _run(["dpkg-deb", "-x", _package(debian, "linux-image-[0-9]*-cloud-*"), "unpacked"], folder)
    tree = folder / "tree"
    for name in ("bin", "dev", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    shutil.copy(busybox, tree / "bin")
    for number, module in enumerate(modules):
        # With its signature: a kernel that was started securely takes no other.
        found = next(folder.glob(f"unpacked/lib/modules/*/kernel/{module}"))
        shutil.copy(found, tree / f"{number}-{found.name}")
    (tree / "init").write_text(_INIT.replace("CONSOLE", console))
    (tree / "init").chmod(0o755)
    names = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*")))
    packed = _run(["cpio", "--quiet", "--create", "--format=newc"], tree, stdin=names.encode())
    (folder / "initrd").write_bytes(packed)
    return next(folder.glob("unpacked/boot/vmlinuz-*")), folder / "initrd"


def _system_partition(path: Path, files: dict[str, Path]) -> Path:
    """Make a disk with an EFI system partition that has these files, by their paths."""
    with path.open("wb") as file:
        file.truncate(_DISK_MIB * _MIB)
    _run(["sfdisk", "-q", path], path.parent, stdin=b"label: gpt\nstart=2048,type=uefi\n")
    kib = str((_DISK_MIB - 2) * 1024)
    _run(["mkfs.vfat", "-F", "32", "--offset", "2048", path, kib], path.parent)
    system = f"{path}@@1M"
    folders = {f"::/{parent}": None for name in files for parent in reversed(Path(name).parents) if parent.name}
    if folders:
        _run(["mmd", "-i", system, *folders], path.parent)
    for name, content in files.items():
        _run(["mcopy", "-i", system, content, f"::/{name}"], path.parent)
    return path


def _run(argv: list[str | Path], folder: Path, *, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(argv, cwd=folder, input=stdin, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{argv[0]}: {done.stderr.decode(errors='replace')}"
    return done.stdout
