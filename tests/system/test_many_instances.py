"""Fifty instances of one image from one request."""

from pathlib import Path

import pytest
from tests.server import RunningServer
from tests.system.shop import Shop

COUNT = 50


@pytest.fixture(scope="module")
def fleet(shared: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, list[str]]:
    disk: Path = tmp_path_factory.mktemp("disk") / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(2**30)
    shop = Shop(shared, "a fleet", disk)
    return shop, shop.launch_ids(MinCount=COUNT, MaxCount=COUNT)


def test_one_request_launches_fifty_that_run_when_it_is_answered(fleet: tuple[Shop, list[str]]) -> None:
    shop, instance_ids = fleet

    (reservation,) = shop.ec2.describe_instances()["Reservations"]

    assert [instance["InstanceId"] for instance in reservation["Instances"]] == instance_ids
    assert [instance["AmiLaunchIndex"] for instance in reservation["Instances"]] == list(range(COUNT))
    assert {instance["State"]["Name"] for instance in reservation["Instances"]} == {"running"}


def test_each_has_a_disk_and_addresses_of_its_own(fleet: tuple[Shop, list[str]]) -> None:
    shop, _ = fleet

    (reservation,) = shop.ec2.describe_instances()["Reservations"]

    instances = reservation["Instances"]
    assert len({instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] for instance in instances}) == COUNT
    assert len({instance["PrivateIpAddress"] for instance in instances}) == COUNT
    assert len({instance["PublicIpAddress"] for instance in instances}) == COUNT
    assert len({instance["NetworkInterfaces"][0]["MacAddress"] for instance in instances}) == COUNT


def test_pages_list_all_fifty(fleet: tuple[Shop, list[str]]) -> None:
    shop, instance_ids = fleet

    pages = list(shop.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 7}))

    listed = [
        [instance["InstanceId"] for reservation in page["Reservations"] for instance in reservation["Instances"]]
        for page in pages
    ]
    assert [len(page) for page in listed] == [7] * 7 + [1]
    assert sorted(instance_id for page in listed for instance_id in page) == sorted(instance_ids)


def test_more_than_the_quota_are_refused_and_leave_nothing(fleet: tuple[Shop, list[str]]) -> None:
    shop, instance_ids = fleet
    before = shop.ec2.describe_volumes()["Volumes"]

    with pytest.raises(shop.ec2.exceptions.ClientError) as error:
        shop.launch_ids(MinCount=5000, MaxCount=5000)

    assert error.value.response["Error"]["Code"] == "InstanceLimitExceeded"
    assert len(shop.found()) == len(instance_ids)
    assert shop.ec2.describe_volumes()["Volumes"] == before
