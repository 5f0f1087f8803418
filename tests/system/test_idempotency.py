"""Client tokens: a request that is repeated makes nothing new."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import contents, refused
from tests.system.shop import Shop

VOLUME: Any = {"AvailabilityZone": "us-east-1a", "Size": 1}


def volume_ids(shop: Shop) -> list[str]:
    return [volume["VolumeId"] for volume in shop.ec2.describe_volumes()["Volumes"]]


def test_a_repeated_launch_answers_as_the_first_one_did(shop: Shop) -> None:
    how: Any = {"ImageId": shop.image_id, "MinCount": 2, "MaxCount": 2, "ClientToken": "once"}

    first = shop.ec2.run_instances(**how)
    again = shop.ec2.run_instances(**how)

    assert again["ReservationId"] == first["ReservationId"]
    assert [i["InstanceId"] for i in again["Instances"]] == [i["InstanceId"] for i in first["Instances"]]
    assert len(shop.found()) == 2


def test_a_repeated_volume_is_the_same_volume(shop: Shop) -> None:
    first = shop.ec2.create_volume(**VOLUME, ClientToken="once")
    again = shop.ec2.create_volume(**VOLUME, ClientToken="once")

    assert first["VolumeId"] == again["VolumeId"]
    assert volume_ids(shop) == [first["VolumeId"]]


def test_a_token_with_other_parameters_is_refused(shop: Shop, shared: RunningServer) -> None:
    shop.ec2.create_volume(**VOLUME, ClientToken="once")
    shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="once")
    before = contents(shared)

    with refused("IdempotentParameterMismatch"):
        shop.ec2.create_volume(AvailabilityZone="us-east-1a", Size=2, ClientToken="once")
    with refused("IdempotentParameterMismatch"):
        shop.launch_ids(MinCount=1, MaxCount=2, ClientToken="once")

    assert contents(shared) == before


def test_without_a_token_each_request_makes_something_new(shop: Shop) -> None:
    shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="")
    shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="")

    assert len(shop.found()) == 2


def test_requests_of_one_token_at_the_same_time_make_one_thing(shop: Shop) -> None:
    how: Any = {"MinCount": 1, "MaxCount": 1, "ClientToken": "once"}

    with ThreadPoolExecutor(8) as pool:
        launched = list(pool.map(lambda _: shop.launch_ids(**how), range(8)))

    assert len(shop.found()) == 1
    assert launched == [shop.found()] * 8


def test_a_token_belongs_to_its_account_region_and_operation(
    shop: Shop, shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    elsewhere = shared.ec2(request.node.nodeid, "eu-west-1")
    stranger = shared.ec2(f"stranger to {request.node.nodeid}")

    shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="once")
    first = shop.ec2.create_volume(**VOLUME, ClientToken="once")
    second = elsewhere.create_volume(AvailabilityZone="eu-west-1a", Size=1, ClientToken="once")
    third = stranger.create_volume(**VOLUME, ClientToken="once")

    assert len({made["VolumeId"] for made in (first, second, third)}) == 3


def test_a_refused_request_does_not_use_its_token_up(shop: Shop) -> None:
    with refused("InvalidZone.NotFound"):
        shop.ec2.create_volume(AvailabilityZone="us-east-1z", Size=1, ClientToken="once")

    shop.ec2.create_volume(**VOLUME, ClientToken="once")


def test_a_dry_run_does_not_use_its_token_up(shop: Shop) -> None:
    with refused("DryRunOperation", status=412):
        shop.ec2.create_volume(**VOLUME, ClientToken="once", DryRun=True)

    shop.ec2.create_volume(AvailabilityZone="us-east-1a", Size=2, ClientToken="once")


def test_a_launch_is_repeated_until_all_its_instances_are_terminated(shop: Shop) -> None:
    how: Any = {"ImageId": shop.image_id, "MinCount": 2, "MaxCount": 2, "ClientToken": "once"}
    instance_ids = [it["InstanceId"] for it in shop.ec2.run_instances(**how)["Instances"]]

    end(shop, instance_ids[:1])
    again = shop.ec2.run_instances(**how)["Instances"]
    end(shop, instance_ids)

    assert {it["InstanceId"]: it["State"]["Name"] for it in again} == dict(
        zip(instance_ids, ("terminated", "running"), strict=True)
    )
    with refused("IdempotentInstanceTerminated"):
        shop.ec2.run_instances(**how)


def end(shop: Shop, instance_ids: list[str]) -> None:
    shop.ec2.terminate_instances(InstanceIds=instance_ids, SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=instance_ids, WaiterConfig={"Delay": 1})
