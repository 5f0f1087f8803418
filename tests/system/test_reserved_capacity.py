"""Capacity Reservations and Dedicated Hosts: there are none, and who asks is told so."""

from typing import TYPE_CHECKING, Any

from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def test_there_is_no_capacity_reservation(alice: "EC2Client") -> None:
    found = alice.describe_capacity_reservations(Filters=[{"Name": "state", "Values": ["active"]}])

    assert found["CapacityReservations"] == []
    with refused("InvalidCapacityReservationId.NotFound"):
        alice.describe_capacity_reservations(CapacityReservationIds=["cr-0123456789abcdef0"])
    with refused("InvalidParameterValue"):
        alice.describe_capacity_reservations(Filters=[{"Name": "no-such", "Values": ["a"]}])


def test_there_is_no_dedicated_host(alice: Any) -> None:
    assert alice.describe_hosts(Filter=[{"Name": "state", "Values": ["available"]}])["Hosts"] == []
    with refused("InvalidHostID.NotFound"):
        alice.describe_hosts(HostIds=["h-0123456789abcdef0"])
    with refused("InvalidParameterCombination"):
        alice.describe_hosts(HostIds=["h-0123456789abcdef0"], MaxResults=5)
    with refused("InvalidParameterValue"):
        alice.describe_hosts(Filter=[{"Name": "no-such", "Values": ["a"]}])


def test_whether_reservations_would_be_used_is_kept(shop: Shop) -> None:
    instance = shop.launch(CapacityReservationSpecification={"CapacityReservationPreference": "none"})
    instance_id, opened = instance["InstanceId"], {"CapacityReservationPreference": "open"}

    with refused("IncorrectInstanceState"):
        change(shop, instance_id, opened)
    shop.stop(instance_id)
    change(shop, instance_id, opened)

    assert instance["CapacityReservationSpecification"] == {"CapacityReservationPreference": "none"}
    assert shop.describe(instance_id)["CapacityReservationSpecification"] == opened
    assert shop.launch()["CapacityReservationSpecification"] == opened


def test_nothing_runs_in_reservations_only(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.stop(instance_id)
    in_one: Any = {"CapacityReservationTarget": {"CapacityReservationId": "cr-0123456789abcdef0"}}

    for specification in ({"CapacityReservationPreference": "capacity-reservations-only"}, in_one):
        with refused("UnsupportedOperation"):
            shop.launch(CapacityReservationSpecification=specification)
        with refused("UnsupportedOperation"):
            change(shop, instance_id, specification)


def test_anothers_instance_is_not_found(shop: Shop, bob: Any) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused("InvalidInstanceID.NotFound"):
        bob.modify_instance_capacity_reservation_attributes(
            InstanceId=instance_id, CapacityReservationSpecification={"CapacityReservationPreference": "none"}
        )


def change(shop: Shop, instance_id: str, specification: Any) -> None:
    shop.ec2.modify_instance_capacity_reservation_attributes(
        InstanceId=instance_id, CapacityReservationSpecification=specification
    )
