"""What of images goes over the wire: views that are kept, mappings that are read, thousands that are filtered."""

import time
from dataclasses import replace
from typing import Any

import pytest
from tests.world import World

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.ids import new_id
from bakehouse.ec2.block_devices import requested_block_devices
from bakehouse.ec2.image_views import image_view
from bakehouse.ec2.operations import OPERATIONS
from bakehouse.ec2.registry import RequestContext

MANY = 10_000


async def test_an_image_that_has_not_changed_is_the_same_view(world: World) -> None:
    image = await world.image()

    assert image_view(image, image.account_id) is image_view(image, image.account_id)


async def test_an_image_that_has_changed_is_another_view(world: World) -> None:
    image = await world.image()
    before = image_view(image, image.account_id)

    after = image_view(replace(image, description="new"), image.account_id)

    assert (before["Description"], after["Description"]) == (None, "new")


async def test_an_owner_sees_tags_that_others_do_not(world: World) -> None:
    image = await world.image(tags={"a": "b"})

    assert "Tags" in image_view(image, image.account_id)
    assert "Tags" not in image_view(image, "111122223333")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"Ebs": {"VolumeSize": 1}}, "MissingParameter"),
    ],
)
def test_a_mapping_entry_that_cannot_be_is_refused(entry: dict[str, Any], code: str) -> None:
    with pytest.raises(Ec2Error) as refused:
        requested_block_devices({"BlockDeviceMappings": [entry]})

    assert refused.value.code == code


def test_an_empty_no_device_takes_the_device_away() -> None:
    (entry,) = requested_block_devices({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "NoDevice": ""}]})

    assert entry.no_device


@pytest.mark.slow
async def test_filters_over_ten_thousand_images_stay_below_fifty_milliseconds(world: World) -> None:
    image = await world.image(tags={"role": "web"})
    async with world.store.transaction() as tx:
        for number in range(MANY):
            tx.put(replace(image, id=new_id("image"), name=f"image-{number}"))
    ctx = RequestContext(world.app, world.caller, "DescribeImages", "request", b"0123456789abcdef")
    wanted = {"state": "available", "tag:role": "web", "name": "image-99*"}
    request = {"Filters": [{"Name": name, "Values": [value]} for name, value in wanted.items()]}
    times = []

    for _ in range(5):
        begin = time.process_time()
        answer = await OPERATIONS["DescribeImages"].handler(ctx, dict(request))
        times.append(time.process_time() - begin)

    assert len(answer["Images"]) == 111
    assert min(times) < 0.05
