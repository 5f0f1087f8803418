"""The recipe `debian-12`: systemd and cloud-init, installed as Debian's own tools install them.

mmdebstrap installs the packages in a user namespace and fills the root file system from inside it, where the
owners of the files are right. Partition table and boot loaders are written from outside. It boots by BIOS, with
GRUB in a partition of its own, and by UEFI.
"""

import os
import shlex
import struct
import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final
from uuid import UUID

from bakehouse.drivers import process
from bakehouse.drivers.images import disk, ext4, host
from bakehouse.drivers.images.architecture import Architecture, Emulation
from bakehouse.drivers.images.disk import MIB, SECTOR, Partition
from bakehouse.drivers.images.recipe import DEBIAN_12, SUITE, Job, Progress

_GRUB_MODULES: Final = ("part_gpt", "ext2", "linux", "normal", "configfile", "search")

#: Of GRUB's configuration where firmware and GRUB can both write to the serial port.
_SERIAL_TERMINAL: Final = "serial --unit=0 --speed=115200\nterminal_output serial console\n"

#: Where the kernel keeps what runs foreign programs.
_BINFMT: Final = "/proc/sys/fs/binfmt_misc"

_TOTAL_SECTORS: Final = DEBIAN_12.disk_mib * MIB // SECTOR
_BIOS: Final = Partition(2048, MIB // SECTOR, "21686148-6449-6E6F-744E-656564454649", "name=bios")
_ESP: Final = Partition(_BIOS.start + _BIOS.sectors, 16 * MIB // SECTOR, "U", "name=esp")
#: The last mebibyte is for the copy of the partition table.
_ROOT_START: Final = _ESP.start + _ESP.sectors
_ROOT_SECTORS: Final = _TOTAL_SECTORS - _ROOT_START - MIB // SECTOR

#: Offsets in GRUB's boot.img and core.img. Source: grub, include/grub/i386/pc/boot.h and kernel_i386.
_BOOT_KERNEL_SECTOR: Final = 0x5C
_BOOT_DRIVE_CHECK: Final = 0x66
_CORE_NEXT_SECTOR: Final = 0x1F4

#: Not wanted in an image: half of what the packages unpack.
_LEFT_OUT: Final = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")

#: What mmdebstrap says, and how far the whole build is by then (measured).
_MILESTONES: Final = {
    "running --setup-hook": (0.32, "preparing the installation"),
    "extracting archives": (0.36, "unpacking packages"),
    "installing essential packages": (0.42, "installing the base system"),
    "installing remaining packages": (0.52, "installing packages"),
    "running --customize-hook": (0.85, "writing the file systems"),
}


async def bake(job: Job) -> None:
    """Make the job's disk.

    Raises:
        process.ProcessFailed: A tool of the host failed or is missing.
        host.HostFileMissing: There is nothing on the host to run the programs of a foreign architecture with.
    """
    architecture = job.architecture
    if not architecture.is_native and architecture.emulation is not None:
        _check_emulation(architecture.emulation)
    places = {
        "ROOT_UUID": str(disk.derived_uuid(job.content_key, "root")),
        "ROOT_PARTUUID": str(disk.derived_uuid(job.content_key, "root partition")),
        "CONSOLE": architecture.console,
        "TERMINAL": _SERIAL_TERMINAL if architecture.has_bios else "",
    }
    root = Partition(_ROOT_START, _ROOT_SECTORS, "L", f"name=root, uuid={places['ROOT_PARTUUID']}")
    label_id = str(disk.derived_uuid(job.content_key, "disk"))
    await disk.create(job.disk, DEBIAN_12.disk_mib * MIB, "gpt", label_id, (_BIOS, _ESP, root))
    await _install(job, root, places)
    job.report(Progress("writing the boot loaders", 0.94))
    await _write_boot_loaders(job, places)


async def _install(job: Job, root: Partition, places: Mapping[str, str]) -> None:
    """Install the packages and copy the installed system into the root partition."""
    overlay = job.workspace / "overlay.tar"
    _write_overlay(overlay, job.when, places)

    def read_line(line: str) -> None:
        for said, (fraction, step) in _MILESTONES.items():
            if said in line:
                job.report(Progress(step, fraction))

    # The users of the namespace may not reach the file by its path, so they get it open. Only we have the path.
    job.disk.chmod(0o666)
    descriptor = os.open(job.disk, os.O_RDWR)
    try:
        await process.stream(
            mmdebstrap_command(job, root, places, overlay, Path(f"/proc/self/fd/{descriptor}")),
            on_line=read_line,
            env=host.environment(TMPDIR=str(job.scratch), SOURCE_DATE_EPOCH=str(job.when), INITRD="No"),
            pass_fds=(descriptor,),
        )
    finally:
        os.close(descriptor)


def mmdebstrap_command(
    job: Job, root: Partition, places: Mapping[str, str], overlay: Path, opened_disk: Path
) -> list[str]:
    """Return the command that installs the resolved packages, and no others, without asking the network.

    The lists that they were resolved from and the packages themselves are handed in.
    """
    lists = sorted(str(path) for path in job.lists.iterdir() if path.is_file() and path.name != "lock")
    uuid = UUID(places["ROOT_UUID"])
    mke2fs = shlex.join(ext4.mke2fs_command(opened_disk, root, uuid, "TREE", "-m", "1", "-L", "root"))
    setup = (
        *_emulation_hooks(job.architecture),
        'mkdir -p "$1/var/lib/apt/lists" "$1/var/cache/apt/archives"',
        shlex.join(["copy-in", *lists, "/var/lib/apt/lists/"]),
        shlex.join(["copy-in", *map(str, job.packages), "/var/cache/apt/archives/"]),
    )
    customize = (
        shlex.join(["tar-in", str(overlay), "/"]),
        _filled_in((DEBIAN_12.folder / "customize.sh").read_text(), places),
        # A bind mount of its own shows the tree without what is mounted into it: /proc, /sys, device nodes.
        'mount --bind "$1" "$1/mnt" && mount --bind "$1/mnt/mnt" "$1/mnt/dev"',
        mke2fs.replace("TREE", '"$1/mnt"'),
        'umount --lazy "$1/mnt"',
    )
    included = [word for word in DEBIAN_12.words("packages", job.architecture) if not word.startswith("?")]
    return [
        "mmdebstrap", "--mode=unshare", "--variant=minbase", "--format=null",
        f"--architectures={job.architecture.debian}",
        "--skip=check/qemu,update,download/empty,essential/unlink,cleanup",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
        f"--include={','.join(included)}",
        *(f"--setup-hook={hook}" for hook in setup),
        *(f"--customize-hook={hook}" for hook in customize),
        SUITE, "/dev/null", str(job.sources),
    ]  # fmt: skip


def _check_emulation(emulation: Emulation) -> None:
    """Refuse early what cannot be done. Root builds in the host's user namespace, whose table is not ours to fill."""
    host.read(Path(emulation.interpreter), "qemu-user-static")
    if os.geteuid() == 0:
        host.read(Path(_BINFMT) / emulation.name, "qemu-user-static")


def _emulation_hooks(architecture: Architecture) -> Iterator[str]:
    """Yield what lets the kernel run foreign programs inside the namespace of the build, if it does not anyway.

    A user namespace has had a table of its own since Linux 6.7; on older kernels the package qemu-user-static must have
    filled in the host's.
    """
    emulation = architecture.emulation
    if not architecture.is_native and emulation is not None:
        own = shlex.quote(emulation.registration())
        yield (
            f"[ -e {_BINFMT}/{emulation.name} ] || "
            f"{{ mount -t binfmt_misc binfmt_misc {_BINFMT} && printf '%s' {own} > {_BINFMT}/register; }}"
        )


def _write_overlay(overlay: Path, when: int, places: Mapping[str, str]) -> None:
    """Pack the recipe's own files, everything root's, with their places filled in."""
    source = DEBIAN_12.folder / "rootfs"
    files = {f"./{path.relative_to(source)}": path.read_text() for path in source.rglob("*") if path.is_file()}
    files["./boot/grub/grub.cfg"] = (DEBIAN_12.folder / "grub.cfg").read_text()
    with tarfile.open(overlay, "w") as archive:
        for name in sorted(files):
            content = _filled_in(files[name], places).encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), when
            entry.mode = 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(entry, BytesIO(content))


async def _write_boot_loaders(job: Job, places: Mapping[str, str]) -> None:
    early = job.workspace / "early.cfg"
    early.write_text(_filled_in((DEBIAN_12.folder / "grub-early.cfg").read_text(), places))
    unpacked = job.workspace / "loaders"
    unpacked.mkdir()
    for package in job.loaders:
        await process.run(["dpkg-deb", "-x", package, unpacked], env=host.environment())
    grub = unpacked / "usr/lib/grub"
    if job.architecture.has_bios:
        core = job.workspace / "core.img"
        await process.run(_grub_mkimage(grub / "i386-pc", early, core, "biosdisk", "serial", "terminal"))
        boot_code, core_code = chained((grub / "i386-pc/boot.img").read_bytes(), core.read_bytes(), _BIOS.start)
        disk.write_boot_code(job.disk, boot_code)
        disk.write(job.disk, _BIOS.offset, core_code)
    environment = host.environment(SOURCE_DATE_EPOCH=str(job.when))
    image = f"{job.disk}@@{_ESP.offset}"
    make: list[str | Path] = [
        "mkfs.vfat", "--invariant", "-F", "16", "-n", "ESP", "--offset", str(_ESP.start),
        job.disk, str(_ESP.size // 1024),
    ]  # fmt: skip
    await process.run(make, env=environment)
    if job.architecture.grub_target is not None:
        loader = job.workspace / job.architecture.removable_loader
        modules = ("efi_gop", *(("serial", "terminal") if job.architecture.has_bios else ()))
        await process.run(_grub_mkimage(grub / job.architecture.grub_target, early, loader, *modules))
        await process.run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT"], env=environment)
        await process.run(["mcopy", "-i", image, loader, "::/EFI/BOOT/"], env=environment)


def chained(boot: bytes, core: bytes, sector: int) -> tuple[bytes, bytes]:
    """Return GRUB's first and second part, changed to find the next part on the disk they were read from.

    This is what grub-install does on a machine's own disk, which needs root and a block device.

    Args:
        boot: boot.img.
        core: core.img, as grub-mkimage made it.
        sector: Where core.img will be.
    """
    first, second = bytearray(boot), bytearray(core)
    struct.pack_into("<Q", first, _BOOT_KERNEL_SECTOR, sector)
    # Two NOPs in place of the jump that would ignore the BIOS's drive number.
    first[_BOOT_DRIVE_CHECK : _BOOT_DRIVE_CHECK + 2] = b"\x90\x90"
    struct.pack_into("<Q", second, _CORE_NEXT_SECTOR, sector + 1)
    return bytes(first), bytes(second)


def _grub_mkimage(folder: Path, early: Path, out: Path, *more: str) -> list[str | Path]:
    """Return the command that makes GRUB of the modules in a folder, which is named by what it is made for."""
    return [
        "grub-mkimage", "-O", folder.name, "-d", folder, "-c", early, "-p", "/boot/grub", "-o", out,
        *_GRUB_MODULES, *more,
    ]  # fmt: skip


def _filled_in(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"@{name}@", value)
    return text
