"""What a stored object says of an image, and what is made of anything that it might say."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.instance_type_specification import InstanceTypeSpecification
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.stored_image import BadDescription, Restoration, RestoredImage, described, restored

NOW = datetime(2026, 11, 23, tzinfo=UTC)
GIB = 1 << 30

IMAGE = Image(
    id="ami-0123456789abcdef0",
    account_id="123456789012",
    region="us-east-1",
    name="stored",
    description="all of it",
    state=ImageState.AVAILABLE,
    architecture="x86_64",
    root_device_name="/dev/xvda",
    block_devices=(
        BlockDevice(device_name="/dev/sdg", virtual_name="ephemeral0"),
        BlockDevice(device_name="/dev/xvda", snapshot_id="snap-1", size_gib=8),
        BlockDevice(device_name="/dev/sdf", snapshot_id="snap-2", size_gib=20, volume_type="io1", iops=100),
        BlockDevice(device_name="/dev/sdh", size_gib=3, volume_type="gp3", delete_on_termination=False),
    ),
    created_at=NOW,
    boot_mode="legacy-bios",
    imds_support="v2.0",
    instance_type_specification=InstanceTypeSpecification(supported=("t3.*",)),
    launch_accounts=("all",),
    tags={"team": "web"},
)


def snapshot(snapshot_id: str, size_gib: int) -> Snapshot:
    return Snapshot(
        id=snapshot_id,
        account_id=IMAGE.account_id,
        region=IMAGE.region,
        volume_id="vol-ffffffff",
        volume_size_gib=size_gib,
        description=f"of {snapshot_id}",
        state=SnapshotState.COMPLETED,
        started_at=NOW,
        tags={"of": snapshot_id},
    )


SNAPSHOTS = (snapshot("snap-1", 8), snapshot("snap-2", 20))
PENDING = replace(
    IMAGE,
    id="ami-0fffffffffffffff0",
    account_id="210987654321",
    region="eu-west-1",
    name="ami-0fffffffffffffff0",
    description="",
    state=ImageState.PENDING,
    block_devices=(),
    boot_mode=None,
    imds_support=None,
    instance_type_specification=None,
    launch_accounts=(),
    tags={"mine": "yes"},
)
DOCUMENT = json.loads(json.dumps(described(IMAGE, SNAPSHOTS)))


def restoration(name: str | None = None) -> Restoration:
    return Restoration(
        pending=PENDING,
        name=name,
        snapshot_tags={"new": "1"},
        snapshot_ids=("snap-3", "snap-4"),
        disk_sizes_bytes=(8 * GIB, 20 * GIB),
    )


def test_an_image_comes_back_as_it_was_stored() -> None:
    made = restored(DOCUMENT, restoration())

    assert made.image == replace(
        IMAGE,
        id=PENDING.id,
        account_id=PENDING.account_id,
        region=PENDING.region,
        state=ImageState.PENDING,
        block_devices=tuple(
            replace(device, snapshot_id={"snap-1": "snap-3", "snap-2": "snap-4"}.get(device.snapshot_id or ""))
            for device in IMAGE.block_devices
        ),
        launch_accounts=(),
        source_image_id=IMAGE.id,
        source_image_region="us-east-1",
        tags={"team": "web", "mine": "yes"},
    )


def test_its_snapshots_come_back_in_their_order() -> None:
    made = restored(DOCUMENT, restoration())

    assert [(it.id, it.volume_size_gib, it.description, it.state) for it in made.snapshots] == [
        ("snap-3", 8, "of snap-1", "pending"),
        ("snap-4", 20, "of snap-2", "pending"),
    ]
    assert made.snapshots[0].tags == {"of": "snap-1", "new": "1"}


def test_a_name_that_is_asked_for_comes_before_the_stored_one() -> None:
    assert restored(DOCUMENT, restoration("other")).image.name == "other"


def test_an_object_with_other_disks_than_it_describes_is_refused() -> None:
    with pytest.raises(BadDescription, match="2 snapshots and holds 1 disks"):
        restored(DOCUMENT, replace(restoration(), snapshot_ids=("snap-3",), disk_sizes_bytes=(GIB,)))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in paths(part, (*path, key)))]


anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(path=st.sampled_from([path for path in paths(DOCUMENT) if path]), value=anything)
def test_whatever_an_object_says_makes_an_image_or_is_refused(path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    part = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value

    try:
        made = restored(document, restoration())
    except BadDescription:
        return
    assert isinstance(made, RestoredImage)
    assert made.image.snapshot_ids == ("snap-3", "snap-4")
    assert made.image.state is ImageState.PENDING


@given(document=st.dictionaries(st.text(max_size=10), anything, max_size=4))
def test_whatever_is_no_description_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(BadDescription):
        restored(document, restoration())
