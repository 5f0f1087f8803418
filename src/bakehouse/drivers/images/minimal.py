"""The recipe `minimal`: a kernel that needs no initrd, busybox, dropbear and a boot script of our own.

No package is installed, only unpacked, and no program of the image runs on the host. Booted by syslinux from a
FAT partition, because it reads a kernel several times faster than GRUB under an emulated BIOS.
"""

import asyncio
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.images import disk, ext4, host
from bakehouse.drivers.images.disk import MIB, SECTOR, Partition
from bakehouse.drivers.images.recipe import MINIMAL, Job, Progress

#: Of the host's package syslinux-common.
_BOOT_CODE: Final = Path("/usr/lib/syslinux/mbr/mbr.bin")

_BOOT: Final = Partition(start=2048, sectors=20 * MIB // SECTOR, kind="e", extra="bootable")
_ROOT: Final = Partition(
    start=_BOOT.start + _BOOT.sectors,
    sectors=MINIMAL.disk_mib * MIB // SECTOR - _BOOT.start - _BOOT.sectors,
    kind="83",
)

#: Folders that no file of the recipe brings along.
_FOLDERS: Final = (
    "bin", "sbin", "dev", "proc", "sys", "run", "tmp", "mnt", "boot", "root", "home/ec2-user",
    "etc/dropbear", "srv/www", "usr/bin", "usr/sbin", "var/log", "var/lib", "var/spool",
)  # fmt: skip

_LINKS: Final = {
    "etc/mtab": "/proc/mounts",
    "etc/resolv.conf": "/run/resolv.conf",
    "var/run": "/run",
    # Where dropbear looks for it.
    "usr/lib/sftp-server": "openssh/sftp-server",
}

#: Modes that are neither 0755 (folders, scripts and programs) nor 0644.
_MODES: Final = {"tmp": 0o1777, "root": 0o700, "home/ec2-user": 0o700, "etc/shadow": 0o600, "bin/su": 0o4755}

_SIGNATURE_MARK: Final = b"~Module signature appended~\n"


async def bake(job: Job) -> None:
    """Make the job's disk.

    Raises:
        process.ProcessFailed: A tool of the host failed or is missing.
        FileNotFoundError: A package does not hold what the recipe takes from it.
    """
    job.report(Progress("unpacking packages", 0.4))
    unpacked, root = job.workspace / "unpacked", job.workspace / "root"
    unpacked.mkdir()
    for package in job.packages:
        await process.run(["dpkg-deb", "-x", package, unpacked], env=host.environment())
    await asyncio.to_thread(stage, root, unpacked)
    job.report(Progress("writing the file systems", 0.8))
    disk_id = disk.derived_uuid(job.content_key, "disk").hex[:8]
    await disk.create(job.disk, MINIMAL.disk_mib * MIB, "dos", f"0x{disk_id}", (_BOOT, _ROOT))
    await _fill_boot_partition(job, root, disk_id)
    await ext4.make_owned_by_root(job.disk, _ROOT, disk.derived_uuid(job.content_key, "root"), root, job.when)
    disk.write_boot_code(job.disk, host.read(_BOOT_CODE, "syslinux-common"))


def stage(root: Path, unpacked: Path) -> None:
    """Put the image's root file system together from the unpacked packages and the recipe's own files."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    for pattern in MINIMAL.words("files"):
        _take(pattern, unpacked, root)
    _install_modules(root, unpacked)
    _link_applets(root)
    for link, target in _LINKS.items():
        (root / link).symlink_to(target)
    shutil.copytree(MINIMAL.folder / "rootfs", root, dirs_exist_ok=True)
    # busybox may change the user only as a file of its own with the mode for it.
    shutil.copyfile(root / "bin/busybox", root / "bin/su")
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(_MODES.get(str(path.relative_to(root)), 0o755 if _runs(path) else 0o644))
    root.chmod(0o755)


async def _fill_boot_partition(job: Job, root: Path, disk_id: str) -> None:
    """Move the kernel into the FAT partition that the boot loader reads."""
    image = f"{job.disk}@@{_BOOT.offset}"
    config, kernel = job.workspace / "syslinux.cfg", job.workspace / "vmlinuz"
    config.write_text((MINIMAL.folder / "syslinux.cfg").read_text().replace("@DISK_ID@", disk_id))
    next((root / "boot").glob("vmlinuz-*")).rename(kernel)
    environment = host.environment(SOURCE_DATE_EPOCH=str(job.when), TMPDIR=str(job.workspace))
    await process.run(
        [
            "mkfs.vfat", "--invariant", "-F", "16",
            "-h", str(_BOOT.start), "--offset", str(_BOOT.start),
            job.disk, str(_BOOT.size // 1024),
        ],
        env=environment,
    )  # fmt: skip
    await process.run(["mcopy", "-i", image, kernel, config, "::/"], env=environment)
    await process.run(["syslinux", "--install", "--offset", str(_BOOT.offset), job.disk], env=environment)


def _take(pattern: str, unpacked: Path, root: Path) -> None:
    """Copy what a path or pattern of the recipe's `files` names; a link is followed."""
    found = sorted(unpacked.glob(pattern.lstrip("/")))
    if not found:
        raise FileNotFoundError(f"no package of the recipe `{MINIMAL.name}` holds {pattern}")
    for source in found:
        copy = root / source.relative_to(unpacked)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)


def _link_applets(root: Path) -> None:
    folder = ""
    for word in MINIMAL.words("applets"):
        if word.endswith(":"):
            folder = word.strip("/:")
        elif not (link := root / folder / word).exists():
            link.symlink_to("/bin/busybox")


def _install_modules(root: Path, unpacked: Path) -> None:
    """Install the modules that the boot loads, and the list of them in loading order."""
    release = next((unpacked / "lib/modules").iterdir()).name
    there = unpacked / "lib/modules" / release
    modules = {path.stem.replace("-", "_"): path for path in there.rglob("*.ko")}
    here = root / "lib/modules" / release
    here.mkdir(parents=True)
    order: dict[str, None] = {}
    for name in MINIMAL.words("modules"):
        order.update(dict.fromkeys(with_dependencies(name, modules)))
    for name in order:
        (here / modules[name].name).write_bytes(quick_to_load(modules[name].read_bytes()))
    (here / "load").write_text("".join(f"{modules[name].name}\n" for name in order))


def with_dependencies(name: str, modules: dict[str, Path]) -> Iterator[str]:
    """Yield what a module needs, then the module itself; one that is built into the kernel is not there."""
    if name not in modules:
        return
    needs = re.search(rb"\0?depends=([^\0]*)\0", modules[name].read_bytes())
    for need in filter(None, needs[1].decode().split(",") if needs else ()):
        yield from with_dependencies(need.replace("-", "_"), modules)
    yield name


def quick_to_load(module: bytes) -> bytes:
    """Return a module without its signature and type information.

    An emulated processor takes noticeably long for both: RSA, and the kernel's own 4 MB of BTF, which it parses
    when the first module has a `.BTF` section. A module without a signature is accepted, a changed one is not.
    """
    if module.endswith(_SIGNATURE_MARK):
        module = module[: -len(_SIGNATURE_MARK)]
        # struct module_signature is 12 bytes, of which the last four are the signature's length.
        (length,) = struct.unpack(">I", module[-4:])
        module = module[: -12 - length]
    return module.replace(b"\0.BTF\0", b"\0.XTF\0")


def _runs(path: Path) -> bool:
    """Tell whether a staged path is a folder, a script or a program: what has mode 0755."""
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return file.read(4).startswith((b"#!", b"\x7fELF"))
