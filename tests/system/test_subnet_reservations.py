"""Subnet CIDR reservations as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.networking import new_subnet, new_vpc, tagged
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def reserve(client: "EC2Client", subnet_id: str, cidr: str, **members: Any) -> str:
    made = client.create_subnet_cidr_reservation(
        SubnetId=subnet_id, Cidr=cidr, **{"ReservationType": "explicit", **members}
    )
    return made["SubnetCidrReservation"]["SubnetCidrReservationId"]


def reserved(client: "EC2Client", subnet_id: str, *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    answer = client.get_subnet_cidr_reservations(SubnetId=subnet_id, Filters=wanted)
    assert answer["SubnetIpv6CidrReservations"] == []
    return [it["Cidr"] for it in answer["SubnetIpv4CidrReservations"]]


def test_reserved_addresses_are_given_by_name_only(shop: Shop) -> None:
    subnet_id = new_subnet(shop.ec2, new_vpc(shop.ec2))
    reservation_id = reserve(shop.ec2, subnet_id, "10.0.1.0/28")

    first = shop.launch(SubnetId=subnet_id)
    named = shop.launch(SubnetId=subnet_id, PrivateIpAddress="10.0.1.7")
    shop.ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=reservation_id)
    after = shop.launch(SubnetId=subnet_id)

    assert [it["PrivateIpAddress"] for it in (first, named, after)] == ["10.0.1.16", "10.0.1.7", "10.0.1.4"]


@pytest.mark.parametrize(
    ("cidr", "members", "code"),
    [
        ("10.0.2.0/28", {}, "InvalidParameterValue"),
        ("10.0.1.16/30", {}, "InvalidParameterValue"),
        ("fd00::/80", {}, "InvalidParameterValue"),
        ("10.0.1.0/28", {"ReservationType": "prefix"}, "UnsupportedOperation"),
    ],
)
def test_a_part_that_cannot_be_reserved_is_refused(
    alice: "EC2Client", cidr: str, members: dict[str, Any], code: str
) -> None:
    subnet_id = new_subnet(alice, new_vpc(alice))
    reserve(alice, subnet_id, "10.0.1.16/28")

    with refused(code):
        reserve(alice, subnet_id, cidr, **members)

    assert reserved(alice, subnet_id) == ["10.0.1.16/28"]


def test_reservations_are_chosen_by_filters_and_go_with_their_subnet(alice: "EC2Client", bob: "EC2Client") -> None:
    subnet_id = new_subnet(alice, new_vpc(alice))
    reserve(alice, subnet_id, "10.0.1.16/28")
    made = reserve(
        alice,
        subnet_id,
        "10.0.1.37/28",
        Description="db",
        TagSpecifications=tagged("subnet-cidr-reservation", tier="db"),
    )

    assert reserved(alice, subnet_id, ("tag:tier", "db"), ("subnet-id", subnet_id)) == ["10.0.1.32/28"]
    assert len(reserved(alice, subnet_id, ("reservationType", "explicit"))) == 2
    with refused("InvalidSubnetID.NotFound"):
        reserved(bob, subnet_id)
    with refused("InvalidSubnetCidrReservationID.NotFound"):
        bob.delete_subnet_cidr_reservation(SubnetCidrReservationId=made)
    alice.delete_subnet(SubnetId=subnet_id)
    with refused("InvalidSubnetCidrReservationID.NotFound"):
        alice.delete_subnet_cidr_reservation(SubnetCidrReservationId=made)
