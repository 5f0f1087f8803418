"""What is exclusive to a resource, and what it shares."""

from bakehouse.domain.storage_usage import StorageUse, storage_usage

LAYERS = {"base": 100, "middle": 10, "top": 1, "other": 2}
VOLUMES = {"vol-1": ("top", "middle", "base"), "vol-2": ("other", "base")}
SNAPSHOTS = {"snap-1": ("base",), "snap-2": ("middle", "base")}
IMAGES = {"ami-1": ("snap-1",), "ami-2": ("snap-1", "snap-2")}


def use(resource_id: str, volumes: dict[str, tuple[str, ...]] = VOLUMES) -> StorageUse:
    usage = storage_usage(LAYERS, volumes=volumes, snapshots=SNAPSHOTS, images=IMAGES, archived={}, unneeded_bytes=0)
    return next(it for it in usage.resources if it.id == resource_id)


def test_a_top_belongs_to_its_volume_alone() -> None:
    assert (use("vol-1").exclusive_bytes, use("vol-1").shared_bytes) == (1, 110)


def test_a_layer_below_a_volume_is_shared_with_it() -> None:
    assert (use("snap-2").exclusive_bytes, use("snap-2").shared_bytes) == (0, 110)


def test_what_only_an_images_own_snapshots_need_is_the_images() -> None:
    assert (use("ami-2", volumes={}).exclusive_bytes, use("snap-2", volumes={}).exclusive_bytes) == (110, 10)


def test_the_longest_chain_counts() -> None:
    assert (use("vol-1").layers, use("ami-2").layers) == (3, 2)


def test_the_whole_counts_each_layer_once() -> None:
    usage = storage_usage(LAYERS, volumes=VOLUMES, snapshots=SNAPSHOTS, images=IMAGES, archived={}, unneeded_bytes=7)

    assert (usage.total_bytes, usage.unneeded_bytes) == (113, 7)


def test_an_archived_copy_shares_nothing_and_counts() -> None:
    usage = storage_usage(LAYERS, volumes={}, snapshots=SNAPSHOTS, images={}, archived={"snap-1": 30}, unneeded_bytes=0)

    assert usage.resources[-1] == StorageUse(id="snap-1", kind="archive", exclusive_bytes=30, shared_bytes=0, layers=0)
    assert usage.total_bytes == 143
