"""The recipe `minimal`: a kernel, busybox, dropbear and a boot script of our own.

No package is installed, only unpacked, and no program of the image runs on the host, so that it is baked for any
architecture on any host. By BIOS it is booted by syslinux from a FAT partition, because that reads a kernel several
times faster than GRUB under an emulated BIOS; by UEFI by GRUB from the same partition.
"""

import asyncio
import os
import re
import shutil
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.images import disk, ext4, host
from bakehouse.drivers.images.architecture import Architecture
from bakehouse.drivers.images.disk import MIB, SECTOR, Partition
from bakehouse.drivers.images.recipe import MINIMAL, Job, Progress

#: Of the host's package syslinux-common.
_BOOT_CODE: Final = Path("/usr/lib/syslinux/mbr/mbr.bin")

#: The partition that firmware and boot loader read. An uncompressed kernel, as ARM's is, takes 27 MiB.
_BOOT_MIB: Final = {"x86_64": 20, "i386": 20, "arm64": 30}

_GRUB_MODULES: Final = ("part_msdos", "fat", "linux")

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
    for package in (*job.packages, *job.loaders):
        await process.run(["dpkg-deb", "-x", package, unpacked], env=host.environment())
    await asyncio.to_thread(stage, root, unpacked, job.architecture)
    job.report(Progress("writing the file systems", 0.8))
    disk_id = disk.derived_uuid(job.content_key, "disk").hex[:8]
    root_id = disk.derived_uuid(job.content_key, "root")
    boot = boot_partition(job.architecture)
    rest = root_partition(job.architecture)
    await disk.create(job.disk, MINIMAL.disk_mib * MIB, "dos", f"0x{disk_id}", (boot, rest))
    places = {"DISK_ID": disk_id, "ROOT_UUID": str(root_id), "CONSOLE": job.architecture.console}
    await _fill_boot_partition(job, boot, root, unpacked, places)
    await ext4.make_owned_by_root(job.disk, rest, root_id, root, job.when)
    if job.architecture.has_bios:
        disk.write_boot_code(job.disk, host.read(_BOOT_CODE, "syslinux-common"))


def boot_partition(architecture: Architecture) -> Partition:
    """Return the first partition: a FAT one for either firmware, marked as the system partition where UEFI is all."""
    kind = "e" if architecture.has_bios else "ef"
    return Partition(start=2048, sectors=_BOOT_MIB[architecture.name] * MIB // SECTOR, kind=kind, extra="bootable")


def root_partition(architecture: Architecture) -> Partition:
    """Return the second partition: the rest of the disk."""
    start = boot_partition(architecture).start + boot_partition(architecture).sectors
    return Partition(start=start, sectors=MINIMAL.disk_mib * MIB // SECTOR - start, kind="83")


def stage(root: Path, unpacked: Path, architecture: Architecture) -> None:
    """Put the image's root file system together from the unpacked packages and the recipe's own files."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    for pattern in MINIMAL.words("files", architecture):
        _take(pattern.replace("@TRIPLET@", architecture.triplet), unpacked, root)
    _install_modules(root, unpacked)
    _link_applets(root)
    for link, target in _LINKS.items():
        (root / link).symlink_to(target)
    shutil.copytree(MINIMAL.folder / "rootfs", root, dirs_exist_ok=True)
    for path in (MINIMAL.folder / "rootfs").rglob("*"):
        if path.is_file():
            (root / path.relative_to(MINIMAL.folder / "rootfs")).write_text(
                path.read_text().replace("@CONSOLE@", architecture.console)
            )
    # busybox may change the user only as a file of its own with the mode for it.
    shutil.copyfile(root / "bin/busybox", root / "bin/su")
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(_MODES.get(str(path.relative_to(root)), 0o755 if _runs(path) else 0o644))
    root.chmod(0o755)


async def _fill_boot_partition(
    job: Job, boot: Partition, root: Path, unpacked: Path, places: Mapping[str, str]
) -> None:
    """Move the kernel into the partition that the boot loaders read, and put them there."""
    image = f"{job.disk}@@{boot.offset}"
    environment = host.environment(SOURCE_DATE_EPOCH=str(job.when), TMPDIR=str(job.workspace))
    kernel = job.workspace / "vmlinuz"
    next((root / "boot").glob("vmlinuz-*")).rename(kernel)
    files = [kernel, await _make_initrd(job, root, unpacked, places)]
    places = {**places, "CMDLINE": _filled_in((MINIMAL.folder / "cmdline").read_text().strip(), places)}
    await process.run(
        [
            "mkfs.vfat", "--invariant", "-F", "16",
            "-h", str(boot.start), "--offset", str(boot.start),
            job.disk, str(boot.size // 1024),
        ],
        env=environment,
    )  # fmt: skip
    if job.architecture.has_bios:
        config = job.workspace / "syslinux.cfg"
        config.write_text(_filled_in((MINIMAL.folder / "syslinux.cfg").read_text(), places))
        files.append(config)
    await process.run(["mcopy", "-i", image, *files, "::/"], env=environment)
    if job.architecture.has_bios:
        await process.run(["syslinux", "--install", "--offset", str(boot.offset), job.disk], env=environment)
    if job.architecture.grub_target is not None:
        config = job.workspace / "grub.cfg"
        config.write_text(_filled_in((MINIMAL.folder / "grub.cfg").read_text(), places))
        loader = job.workspace / job.architecture.removable_loader
        await process.run(_grub_mkimage(unpacked, job.architecture.grub_target, config, loader))
        await process.run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT"], env=environment)
        await process.run(["mcopy", "-i", image, loader, "::/EFI/BOOT/"], env=environment)


def _grub_mkimage(unpacked: Path, target: str, config: Path, out: Path) -> list[str | Path]:
    modules = unpacked / "usr/lib/grub" / target
    return [
        "grub-mkimage", "-O", target, "-d", modules, "-c", config, "-p", "/", "-o", out, *_GRUB_MODULES,
    ]  # fmt: skip


async def _make_initrd(job: Job, root: Path, unpacked: Path, places: Mapping[str, str]) -> Path:
    """Pack what mounts the root file system, with the drivers for it that the kernel has as modules."""
    tree, initrd = job.workspace / "initrd.tree", job.workspace / "initrd"
    for folder in ("bin", "dev", "modules", "proc", "root"):
        (tree / folder).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", tree / "bin")
    modules = _modules(unpacked)
    needed = [it for name in MINIMAL.words("modules.initrd") for it in with_dependencies(name, modules)]
    for number, module in enumerate(modules[it] for it in dict.fromkeys(needed)):
        (tree / "modules" / f"{number:02}-{module.name}").write_bytes(quick_to_load(module.read_bytes()))
    (tree / "init").write_text(_filled_in((MINIMAL.folder / "initrd").read_text(), places))
    (tree / "init").chmod(0o755)
    names = sorted(tree.rglob("*"))
    for path in (tree, *names):
        os.utime(path, (job.when, job.when))
    done = await process.run(
        ["cpio", "--quiet", "--create", "--format=newc", "--reproducible", "--owner=0:0"],
        stdin="".join(f"{path.relative_to(tree)}\n" for path in names).encode(),
        cwd=tree,
        env=host.environment(),
    )
    initrd.write_bytes(done.stdout)
    return initrd


def _filled_in(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"@{name}@", value)
    return text


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
    """Install the modules that the boot loads, and the lists of them in loading order."""
    modules = _modules(unpacked)
    here = root / "lib/modules" / _release(unpacked)
    here.mkdir(parents=True)
    for words, list_file in (("modules", "load"), ("modules.tpm", "load-tpm")):
        order: dict[str, None] = {}
        for name in MINIMAL.words(words):
            order.update(dict.fromkeys(with_dependencies(name, modules)))
        for name in order:
            (here / modules[name].name).write_bytes(quick_to_load(modules[name].read_bytes()))
        (here / list_file).write_text("".join(f"{modules[name].name}\n" for name in order))


def _release(unpacked: Path) -> str:
    return next((unpacked / "lib/modules").iterdir()).name


def _modules(unpacked: Path) -> dict[str, Path]:
    """Return the kernel's modules by the names that they call each other."""
    there = unpacked / "lib/modules" / _release(unpacked)
    return {path.stem.replace("-", "_"): path for path in there.rglob("*.ko")}


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
