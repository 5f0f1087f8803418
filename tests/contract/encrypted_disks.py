"""Reading and writing encrypted disks from outside of a guest, with QEMU's own tools."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.contract import disks

from bakehouse.drivers.volumes.qcow2 import opening
from bakehouse.ports.volumes import FileBelow, VolumeConnection, VolumeStore

#: What no encrypted file must hold.
SECRET = b"the recipe of the house "


def files_of(connection: VolumeConnection) -> tuple[FileBelow, ...]:
    return (FileBelow(path=connection.path, format=connection.format, key=connection.key), *connection.below)


def qemu_io(connection: VolumeConnection, command: str) -> None:
    io_on(files_of(connection), command)


def io_on(files: Sequence[FileBelow], command: str) -> None:
    """Read or write a disk that is described file by file."""
    run_on(files, ["qemu-io"], "-d", "unmap", "-c", command, opening.image(files, discard="unmap"))


def run_on(files: Sequence[FileBelow], words: Sequence[str], *arguments: str) -> None:
    """Run a tool that has the keys of these files."""
    with opening.secrets_passed(files) as (secrets, descriptors):
        subprocess.run([*words, *secrets, *arguments], check=True, capture_output=True, pass_fds=descriptors)


def write(connection: VolumeConnection, pattern: int, *, at: int, length: int) -> None:
    qemu_io(connection, f"write -P {pattern} {at} {length}")


def write_secret(connection: VolumeConnection, scratch: Path, *, at: int, length: int) -> bytes:
    """Write a text that is easy to find, again and again; return all that was written."""
    text = (SECRET * (length // len(SECRET) + 1))[:length]
    plain = scratch / "secret.txt"
    plain.write_bytes(text)
    qemu_io(connection, f"write -s {plain} {at} {length}")
    plain.unlink()
    return text


def content(connection: VolumeConnection, scratch: Path) -> bytes:
    """Return all bytes of a disk, as a guest would read them."""
    files, plain = files_of(connection), scratch / "content.raw"
    with opening.secrets_passed(files) as (secrets, descriptors):
        words = ["qemu-img", "convert", *secrets, "-O", "raw", opening.image(files), str(plain)]
        subprocess.run(words, check=True, capture_output=True, pass_fds=descriptors)
    data = plain.read_bytes()
    plain.unlink()
    return data


async def volume_content(store: VolumeStore, volume_id: str, scratch: Path) -> bytes:
    return content(await store.connect(volume_id), scratch)


async def snapshot_content(store: VolumeStore, snapshot_id: str, size_bytes: int, scratch: Path) -> bytes:
    return await disks.snapshot_content(store, snapshot_id, size_bytes, scratch, content)


def holds_secret(folder: Path) -> list[Path]:
    """Return the files in which the text can be read."""
    return [path for path in folder.rglob("*") if path.is_file() and SECRET in path.read_bytes()]
