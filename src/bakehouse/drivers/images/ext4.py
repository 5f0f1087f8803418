"""ext4 file systems, made straight into a partition of a disk file, and the same in every byte each time."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

from bakehouse.drivers import process
from bakehouse.drivers.images import host
from bakehouse.drivers.images.disk import Partition

BLOCK: Final = 4096

#: Fields of an inode that mke2fs copies from the build.
_TIMES: Final = ("atime", "ctime", "mtime", "crtime")


def mke2fs_command(disk: Path, partition: Partition, uuid: UUID, tree: str, *options: str) -> list[str]:
    """Return the command that fills a partition of a disk file with an ext4 file system holding a tree.

    It can grow while mounted, to any size: without a resize inode the kernel puts the descriptors of new groups
    into META_BG groups, which also writes less into a new machine's disk than descriptors reserved beforehand.

    Args:
        disk: The disk file.
        partition: Where the file system goes.
        uuid: Its id.
        tree: Folder to copy, as the program that runs the command sees it.
        options: More options of mke2fs.
    """
    extended = {
        "offset": partition.offset,
        "root_owner": "0:0",
        "hash_seed": uuid,
        "lazy_itable_init": 0,
        "no_copy_xattrs": None,
    }
    words = ",".join(key if value is None else f"{key}={value}" for key, value in extended.items())
    return [
        "mke2fs", "-q", "-F", "-t", "ext4",
        "-b", str(BLOCK),
        "-O", "^resize_inode",
        "-U", str(uuid),
        "-E", words,
        "-d", tree,
        *options,
        str(disk), str(partition.size // BLOCK),
    ]  # fmt: skip


async def make_owned_by_root(disk: Path, partition: Partition, uuid: UUID, tree: Path, when: int) -> None:
    """Make a file system of a tree in which everything belongs to root, whoever owns the tree here.

    The owners and times are set in the finished file system, because only there may we: no user namespace and no
    privilege is needed, and the result does not depend on the time or user of the build.

    Args:
        disk: The disk file.
        partition: Where the file system goes.
        uuid: Its id.
        tree: Folder to copy.
        when: Every time in the file system, seconds since 1970.

    Raises:
        process.ProcessFailed: The tree does not fit, or e2fsprogs is not installed.
    """
    # Both programs put this time wherever they would put the present one. Source: e2fsprogs, libext2fs.
    environment = host.environment(E2FSPROGS_FAKE_TIME=str(when))
    await process.run(
        mke2fs_command(disk, partition, uuid, str(tree), "-m", "0", "-i", "8192", "-J", "size=4"),
        env=environment,
    )
    commands = "".join(_ownership(path, when) for path in _paths(tree))
    done = await process.run(
        ["debugfs", "-w", "-f", "-", f"{disk}?offset={partition.offset}"], stdin=commands.encode(), env=environment
    )
    # debugfs ends with 0 whatever happens; of a command that failed it says so here, beside its banner.
    complaints = [line for line in done.stderr.decode().splitlines() if not line.startswith("debugfs ")]
    if complaints:
        raise process.ProcessFailed(done.argv, done.returncode, "\n".join(complaints))


def _paths(tree: Path) -> Iterator[str]:
    yield "/"
    yield "/lost+found"
    for path in sorted(tree.rglob("*")):
        yield f"/{path.relative_to(tree)}"


def _ownership(path: str, when: int) -> str:
    quoted = f'"{path}"' if shlex.quote(path) != path else path
    settings = [("uid", "0"), ("gid", "0"), *((time, f"@{when}") for time in _TIMES)]
    return "".join(f"set_inode_field {quoted} {field} {value}\n" for field, value in settings)
