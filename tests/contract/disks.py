"""Reading and writing disks from outside of a guest, with QEMU's own tools, and a machine that is only its disks."""

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bakehouse.drivers.volumes.qcow2 import Below, Qcow2VolumeStore, TopSwitch
from bakehouse.drivers.volumes.qcow2_header import backing_name
from bakehouse.ports.volumes import VolumeConnection, VolumeStore

MIB = 1 << 20


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)


def write(path: Path | str, pattern: int, *, at: int, length: int) -> None:
    """Fill a part of a qcow2 disk with one byte's value."""
    qemu_io(path, f"write -P {pattern} {at} {length}")


def qemu_io(path: Path | str, command: str) -> None:
    words = ["qemu-io", "-f", "qcow2", "-d", "unmap", "-c", command, path]
    subprocess.run(words, check=True, capture_output=True)


#: Returns all bytes of a disk; the folder is for what it needs meanwhile.
Read = Callable[[VolumeConnection, Path], bytes]


def content(connection: VolumeConnection, scratch: Path) -> bytes:
    """Return all bytes of a disk, as a guest would read them."""
    plain = scratch / "content.raw"
    qemu_img("convert", "-f", connection.format, "-O", "raw", connection.path, plain)
    data = plain.read_bytes()
    plain.unlink()
    return data


async def volume_content(store: VolumeStore, volume_id: str, scratch: Path) -> bytes:
    return content(await store.connect(volume_id), scratch)


async def snapshot_content(
    store: VolumeStore, snapshot_id: str, size_bytes: int, scratch: Path, read: Read = content
) -> bytes:
    """Read a snapshot as everybody does: by a volume made from it, gone again afterwards."""
    probe_id = "vol-" + snapshot_id.partition("-")[2] + "probe"
    await store.create(probe_id, size_bytes=size_bytes, snapshot_id=snapshot_id)
    data = read(await store.connect(probe_id), scratch)
    await store.delete(probe_id)
    return data


@contextmanager
def held_open(path: str) -> Iterator[None]:
    """Hold a disk open as a machine does, with QEMU's locks on it."""
    words = ["qemu-io", "-f", "qcow2", path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        assert machine.stdin is not None
        assert machine.stdout is not None
        machine.stdout.read(len("qemu-io> "))
        try:
            yield
        finally:
            machine.stdin.close()


def chain(path: Path) -> list[Path]:
    """Return the files that a disk is read through, the disk's own first."""
    found = [path]
    while found[-1].suffix == ".qcow2" and (below := backing_name(found[-1])) is not None:
        found.append(path.parent / below)
    return found


class DiskMachine:
    """A live machine of which nothing is there but the files it writes to. Fulfils `LiveDisks`."""

    def __init__(self, machine_id: str = "i-1") -> None:
        self.machine_id = machine_id
        self.tops: dict[str, Path] = {}
        self.opened: dict[str, list[Path]] = {}
        self.switched: list[frozenset[str]] = []
        self.last_switches: Sequence[TopSwitch] = ()
        self.refuse: Exception | None = None
        self.sizes_are_fixed = False
        self.lose_after_switch: Exception | None = None

    def start(self, connections: Mapping[str, VolumeConnection]) -> None:
        self.tops = {volume_id: Path(connection.path) for volume_id, connection in connections.items()}
        self.opened = {volume_id: chain(path) for volume_id, path in self.tops.items()}

    def take(self, volume_id: str, connection: VolumeConnection) -> None:
        self.tops[volume_id] = Path(connection.path)
        self.opened[volume_id] = chain(self.tops[volume_id])

    def let_go(self, volume_id: str) -> None:
        self.tops.pop(volume_id, None)
        self.opened.pop(volume_id, None)

    def end(self) -> None:
        self.tops = {}
        self.opened = {}

    def write(self, volume_id: str, pattern: int, *, at: int = 0, length: int = MIB) -> None:
        write(self.tops[volume_id], pattern, at=at, length=length)

    async def active_tops(self, machine_id: str) -> Mapping[str, Path]:
        return dict(self.tops) if machine_id == self.machine_id else {}

    async def chain_depths(self) -> Mapping[str, int]:
        return {volume_id: len(opened) for volume_id, opened in self.opened.items()}

    async def resize_disk(self, machine_id: str, volume_id: str, size_bytes: int) -> bool:
        assert machine_id == self.machine_id
        if self.sizes_are_fixed:
            return False
        qemu_img("resize", "-q", "-f", "qcow2", self.tops[volume_id], str(size_bytes))
        return True

    async def reopen_chain(self, below: Below) -> bool:
        if self.tops.get(below.volume_id) != below.top_path:
            return False
        assert chain(below.top_path)[1] == below.path
        self.opened[below.volume_id] = chain(below.top_path)
        return True

    async def switch_tops(self, machine_id: str, switches: Sequence[TopSwitch]) -> None:
        assert machine_id == self.machine_id
        if self.refuse is not None:
            raise self.refuse
        assert all(self.tops[s.volume_id] in (s.old_path, s.new_path) for s in switches)
        for switch in switches:
            if self.tops[switch.volume_id] != switch.new_path:
                self.opened[switch.volume_id].insert(0, switch.new_path)
                self.tops[switch.volume_id] = switch.new_path
        self.switched.append(_ids(switches))
        self.last_switches = switches
        if self.lose_after_switch is not None:
            raise self.lose_after_switch


def _ids(switches: Iterable[TopSwitch]) -> frozenset[str]:
    return frozenset(switch.volume_id for switch in switches)


def opened(root: Path, machine: DiskMachine, *, reserve_bytes: int = 0) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(root, live=machine, owner=None, reserve_bytes=reserve_bytes)


async def filled_volume(store: Qcow2VolumeStore, volume_id: str, pattern: int) -> str:
    """Make a volume of 1 MiB full of one byte's value; return the path of its top."""
    await store.create(volume_id, size_bytes=MIB, snapshot_id=None)
    path = (await store.connect(volume_id)).path
    write(path, pattern, at=0, length=MIB)
    return path


async def live_volumes(store: Qcow2VolumeStore, machine: DiskMachine, *volume_ids: str) -> None:
    for number, volume_id in enumerate(volume_ids, start=1):
        await filled_volume(store, volume_id, number)
    machine.start({volume_id: await store.connect(volume_id) for volume_id in volume_ids})


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory as a backup does, with a hole for everything that is zero."""
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)
