"""What leads to an interface, whatever is associated with it and taken away."""

from dataclasses import replace
from datetime import UTC, datetime

from bakehouse.domain.network_interface import (
    AddressAssociation,
    NetworkInterface,
    associated,
    detached,
    disassociated,
    without_automatic_address,
)

PRIMARY, SECONDARY = "10.0.0.4", "10.0.0.5"
INTERFACE = NetworkInterface(
    id="eni-1",
    account_id="1",
    region="us-east-1",
    vpc_id="vpc-1",
    subnet_id="subnet-1",
    availability_zone="us-east-1a",
    mac="02:00:00:00:00:01",
    private_ip=PRIMARY,
    secondary_ips=(SECONDARY,),
    group_ids=("sg-1",),
    public_ip="127.16.0.1",
    wants_public_ip=True,
    instance_id="i-1",
    attachment_id="eni-attach-1",
    attached_at=datetime(2026, 11, 23, tzinfo=UTC),
    device_index=1,
)


def elastic(number: int, private_ip: str) -> AddressAssociation:
    return AddressAssociation(
        id=f"eipassoc-{number}",
        allocation_id=f"eipalloc-{number}",
        public_ip=f"127.16.1.{number}",
        private_ip=private_ip,
    )


def test_an_elastic_ip_of_the_primary_address_replaces_the_automatic_one() -> None:
    changed = associated(INTERFACE, elastic(1, PRIMARY))

    assert (changed.public_ip, changed.automatic_public_ip) == ("127.16.1.1", None)
    assert disassociated(changed, "eipalloc-1") == replace(INTERFACE, public_ip=None)


def test_an_elastic_ip_of_another_address_leaves_the_automatic_one() -> None:
    changed = associated(INTERFACE, elastic(1, SECONDARY))

    assert (changed.public_ip, changed.automatic_public_ip) == ("127.16.0.1", "127.16.0.1")
    assert changed.public_ip_of(SECONDARY) == "127.16.1.1"
    assert disassociated(changed, "eipalloc-1") == INTERFACE


def test_a_second_elastic_ip_of_an_address_replaces_the_first() -> None:
    changed = associated(associated(INTERFACE, elastic(1, PRIMARY)), elastic(2, PRIMARY))

    assert changed.associations == (elastic(2, PRIMARY),)
    assert changed.public_ip == "127.16.1.2"


def test_elastic_ips_stay_when_the_instance_stops_and_when_the_interface_leaves_it() -> None:
    changed = associated(INTERFACE, elastic(1, PRIMARY))

    assert without_automatic_address(INTERFACE).public_ip is None
    assert without_automatic_address(changed).public_ip == "127.16.1.1"
    assert detached(INTERFACE).public_ip is None
    assert detached(changed).public_ip == "127.16.1.1"


def test_a_free_interface_is_attached_to_nothing() -> None:
    free = detached(INTERFACE)

    assert free.status == "available"
    assert (free.instance_id, free.attachment_id, free.attached_at, free.device_index) == (None, None, None, 0)
    assert not free.wants_public_ip
