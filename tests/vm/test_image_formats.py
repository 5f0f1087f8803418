"""A disk goes out in each format and comes in again: it boots, and holds the files that it held, by their content.

By the drivers alone, without the API above them.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.foreign_files import ovf
from tests.vm import image_guest
from tests.vm.image_guest import booted
from tests.vm.test_image_build import CACHE, MINIMAL_S

from bakehouse.drivers import process
from bakehouse.drivers.images import builder
from bakehouse.drivers.images.recipe import RecipeName
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.disk_files import ExportFormat

GIB = 1 << 30

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(600)]

#: Files of every kind, and bytes that no compression shrinks; what is written last stays in the top layer.
WRITE = """
mkdir -p /srv/files && cd /srv/files
dd if=/dev/urandom of=noise bs=1M count=3 2>/dev/null
dd if=/dev/zero of=zeros bs=1M count=3 2>/dev/null
echo sparse | dd of=sparse bs=1M seek=40 2>/dev/null
ln -s noise link; ln noise hard; mkdir -p a/b; echo deep > a/b/deep; chmod 640 a/b/deep; touch empty
sync
"""

#: Every file that a boot leaves alone, with its content; and of ours, what kind they are.
LIST = "find /bin /lib /sbin /srv /usr -xdev -type f | sort | xargs sha256sum; cd /srv/files && ls -lR"


@dataclass(frozen=True)
class Original:
    """A disk that was used, and what was in it."""

    store: Qcow2VolumeStore
    snapshot_id: str
    listing: str
    key: Path


def opened(folder: Path) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(folder, live=NoLiveDisks(), owner=None, reserve_bytes=0)


async def listing_of(store: Qcow2VolumeStore, volume_id: str, folder: Path, key: Path, *, write: str = "") -> str:
    """Boot a volume; return what is in it."""
    disk = Path((await store.connect(volume_id)).path)
    async with booted(folder, disk, key, user="root") as guest:
        await guest.ssh_answers(timeout_s=MINIMAL_S)
        listing = await guest.ssh(write + LIST)
        await guest.power_button(timeout_s=MINIMAL_S)
    return listing


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    folder = tmp_path_factory.mktemp("original")

    async def make() -> Original:
        image = await builder.build(RecipeName.MINIMAL, cache=CACHE)
        key = await image_guest.make_key(folder)
        store = opened(folder / "store")
        await store.import_file("snap-1", image.path)
        await store.create("vol-1", size_bytes=GIB, snapshot_id="snap-1")
        listing = await listing_of(store, "vol-1", folder / "vm", key, write=WRITE)
        assert "/srv/files/a/b/deep" in listing, listing
        await store.snapshot({"vol-1": "snap-2"}, machine_id=None)
        return Original(store, "snap-2", listing, key)

    yield asyncio.run(make())
    shutil.rmtree(folder, ignore_errors=True)


async def through_an_ova(original: Original, other: Qcow2VolumeStore, folder: Path) -> None:
    await original.store.files.export(original.snapshot_id, folder / "disk.vmdk", file_format=ExportFormat.VMDK)
    (folder / "vm.ovf").write_bytes(ovf(["disk.vmdk"]))
    await process.run(["tar", "-C", folder, "-cf", folder / "vm.ova", "vm.ovf", "disk.vmdk"])
    await other.import_file("snap-3", folder / "vm.ova", expected_format="ova")


async def through_a_vhdx(original: Original, other: Qcow2VolumeStore, folder: Path) -> None:
    await original.store.files.export(original.snapshot_id, folder / "disk.raw", file_format=ExportFormat.RAW)
    words: list[str | Path] = [
        "qemu-img",
        "convert",
        "-f",
        "raw",
        "-O",
        "vhdx",
        folder / "disk.raw",
        folder / "disk.vhdx",
    ]
    await process.run(words)
    await other.import_file("snap-3", folder / "disk.vhdx", expected_format="vhdx")


async def through_a_pack(original: Original, other: Qcow2VolumeStore, folder: Path) -> None:
    await original.store.files.pack(folder / "image.bin", {"name": "minimal"}, [original.snapshot_id])
    await other.files.unpack(folder / "image.bin", ["snap-3"])


Way = Callable[[Original, Qcow2VolumeStore, Path], Awaitable[None]]


def by_file(file_format: ExportFormat) -> Way:
    async def through_a_file(original: Original, other: Qcow2VolumeStore, folder: Path) -> None:
        await original.store.files.export(original.snapshot_id, folder / "disk", file_format=file_format)
        await other.import_file("snap-3", folder / "disk", expected_format=file_format)

    return through_a_file


WAYS: dict[str, Way] = {
    **{file_format.value: by_file(file_format) for file_format in ExportFormat},
    "ova": through_an_ova,
    "vhdx": through_a_vhdx,
    "pack": through_a_pack,
}

#: These differ from others only by what the comparison of bytes shows; a boot costs many seconds.
NOT_BOOTED = ("qcow2", "vhdx")


@pytest.mark.parametrize("way", WAYS)
async def test_what_went_out_and_came_in_boots_with_the_same_files(
    original: Original, tmp_path: Path, way: str
) -> None:
    other = opened(tmp_path / "store")

    await WAYS[way](original, other, tmp_path)

    await original.store.create("vol-2", size_bytes=GIB, snapshot_id=original.snapshot_id)
    await other.create("vol-3", size_bytes=GIB, snapshot_id="snap-3")
    before, after = await original.store.connect("vol-2"), await other.connect("vol-3")
    same = await process.run(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", before.path, after.path])
    assert same.text.strip() == "Images are identical."
    if way not in NOT_BOOTED:
        assert await listing_of(other, "vol-3", tmp_path / "vm", original.key) == original.listing
    shutil.rmtree(tmp_path / "store")
