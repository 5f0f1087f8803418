"""Capacity Reservations and Dedicated Hosts: there are none, and who asks is told so."""

from typing import TYPE_CHECKING, Any

from tests.system.refusals import refused

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
