"""Ten thousand images and snapshots: pages of them are whole, in order, and hold under change."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server import RunningServer, assert_answer_conforms, server

from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.snapshot import NO_VOLUME, Snapshot, SnapshotState

COUNT = 10_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot_and_image(number: int, account_id: str) -> tuple[Snapshot, Image]:
    made = BEGAN + timedelta(minutes=number)
    snapshot = Snapshot(
        id=new_id("snapshot"),
        account_id=account_id,
        region="us-east-1",
        volume_id=NO_VOLUME,
        volume_size_gib=1 + number % 4,
        description=f"of web-{number:05}",
        state=SnapshotState.COMPLETED,
        started_at=made,
        completed_at=made,
    )
    image = Image(
        id=new_id("image"),
        account_id=account_id,
        region="us-east-1",
        name=f"web-{number:05}",
        description="",
        state=ImageState.AVAILABLE,
        architecture="x86_64",
        root_device_name="/dev/xvda",
        block_devices=(BlockDevice(device_name="/dev/xvda", snapshot_id=snapshot.id, size_gib=1 + number % 4),),
        created_at=made,
        launch_accounts=("all",) if number % 3 == 0 else (),
        tags={"stage": "live" if number % 2 else "test"},
    )
    return snapshot, image


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose account `many` has ten thousand images, of a snapshot each."""
    home: Path = tmp_path_factory.mktemp("many") / "home"
    with server(home) as running:
        account_id = running.access_key("many").account_id

        async def fill() -> None:
            async with running.server.context.store.transaction() as tx:
                for number in range(COUNT):
                    for record in snapshot_and_image(number, account_id):
                        tx.put(record)

        running.call(fill())
        yield running


@pytest.fixture
def many(filled: RunningServer) -> Any:
    client = filled.ec2("many")
    # Whether answers are well formed shows with fewer of them.
    client.meta.events.unregister("before-parse.ec2", assert_answer_conforms)
    return client


def filters(**values: str) -> list[dict[str, Any]]:
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]


def names(pages: Any) -> list[list[str]]:
    return [[image["Name"] for image in page["Images"]] for page in pages]


def test_every_image_is_on_one_page_and_in_order(many: Any) -> None:
    pages = names(many.get_paginator("describe_images").paginate(PaginationConfig={"PageSize": 1000}))

    assert [len(page) for page in pages] == [1000] * 10
    assert [name for page in pages for name in page] == [f"web-{number:05}" for number in range(COUNT)]


def test_three_filters_find_what_they_should_in_pages(many: Any) -> None:
    wanted = [
        *filters(name="web-0*", architecture="x86_64"),
        {"Name": "tag:stage", "Values": ["live"]},
    ]

    pages = names(
        many.get_paginator("describe_images").paginate(
            Owners=["self"], Filters=wanted, PaginationConfig={"PageSize": 700}
        )
    )

    assert [len(page) for page in pages] == [700] * 7 + [100]
    assert [name for page in pages for name in page] == [f"web-{number:05}" for number in range(1, COUNT, 2)]


def test_without_a_page_size_the_answer_is_whole(many: Any) -> None:
    images = many.describe_images(Filters=filters(name="web-00*"))["Images"]

    assert len(images) == 1000


def test_a_stranger_pages_through_the_public_ones(filled: RunningServer) -> None:
    stranger = filled.ec2("stranger")

    pages = names(stranger.get_paginator("describe_images").paginate(PaginationConfig={"PageSize": 1000}))

    assert [name for page in pages for name in page] == [f"web-{number:05}" for number in range(0, COUNT, 3)]


def test_snapshots_come_in_pages_as_well(many: Any) -> None:
    wanted = filters(description="of web-0*", status="completed", volume_size="4")

    pages = [
        [snapshot["Description"] for snapshot in page["Snapshots"]]
        for page in many.get_paginator("describe_snapshots").paginate(
            OwnerIds=["self"], Filters=wanted, PaginationConfig={"PageSize": 1000}
        )
    ]

    found = [description for page in pages for description in page]
    expected = [f"of web-{number:05}" for number in range(3, COUNT, 4)]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert sorted(found) == expected


def test_what_is_deregistered_between_two_pages_shifts_nothing(filled: RunningServer) -> None:
    client, account_id = filled.ec2("shifting"), filled.access_key("shifting").account_id

    async def fill() -> None:
        async with filled.server.context.store.transaction() as tx:
            for number in range(20):
                snapshot, image = snapshot_and_image(number, account_id)
                tx.put(snapshot)
                tx.put(replace(image, launch_accounts=()))

    filled.call(fill())
    first = client.describe_images(Owners=["self"], MaxResults=10)
    client.deregister_image(ImageId=first["Images"][-1]["ImageId"])

    second = client.describe_images(Owners=["self"], MaxResults=10, NextToken=first["NextToken"])

    assert first["Images"][-1]["Name"] == "web-00009"
    assert [image["Name"] for image in second["Images"]] == [f"web-000{number}" for number in range(10, 20)]
