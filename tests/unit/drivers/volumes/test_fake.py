from pathlib import Path

from bakehouse.drivers.volumes.fake import FakeVolumeStore


async def test_stores_in_memory_share_nothing() -> None:
    one, other = FakeVolumeStore(), FakeVolumeStore()

    await one.create("vol-1", size_bytes=512, snapshot_id=None)

    assert (await other.inventory()).volume_ids == frozenset()


async def test_the_state_file_is_never_half_written(tmp_path: Path) -> None:
    store = FakeVolumeStore(tmp_path / "volumes.json")

    await store.create("vol-1", size_bytes=512, snapshot_id=None)

    assert names(tmp_path) == ["volumes.json"]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
