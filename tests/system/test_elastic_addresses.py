"""Elastic IPs as boto3 sees them."""

from typing import TYPE_CHECKING, Any

from tests.system.networking import fabric_of, new_interface, new_subnet, new_vpc, tagged
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def allocated(client: "EC2Client", **members: Any) -> tuple[str, str]:
    """Return a new allocation's id and address."""
    answer = client.allocate_address(**members)
    return answer["AllocationId"], answer["PublicIp"]


def described(client: "EC2Client", allocation_id: str) -> Any:
    (address,) = client.describe_addresses(AllocationIds=[allocation_id])["Addresses"]
    return address


def found(client: "EC2Client", name: str, value: str) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]}]
    return [address["AllocationId"] for address in client.describe_addresses(Filters=wanted)["Addresses"]]


def test_an_address_is_allocated_described_and_released(alice: "EC2Client") -> None:
    answer = alice.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", Name="web"))
    allocation_id = answer["AllocationId"]

    address = described(alice, allocation_id)
    assert address["PublicIp"] == answer["PublicIp"]
    assert address["PublicIp"].startswith("127.")
    assert (address["Domain"], address["NetworkBorderGroup"]) == ("vpc", "us-east-1")
    assert address["Tags"] == [{"Key": "Name", "Value": "web"}]
    assert "AssociationId" not in address
    assert alice.describe_addresses(PublicIps=[answer["PublicIp"]])["Addresses"] == [address]
    alice.release_address(AllocationId=allocation_id)
    with refused("InvalidAllocationID.NotFound"):
        described(alice, allocation_id)


def test_an_address_belongs_to_its_account(alice: "EC2Client", bob: "EC2Client") -> None:
    allocation_id, public_ip = allocated(alice)

    with refused("InvalidAllocationID.NotFound"):
        described(bob, allocation_id)
    with refused("AuthFailure", status=403):
        bob.release_address(PublicIp=public_ip)
    with refused("InvalidAddress.NotFound"):
        bob.release_address(PublicIp="127.1.2.3")
    assert bob.describe_addresses()["Addresses"] == []


def test_an_associated_address_replaces_the_automatic_one(shop: Shop) -> None:
    instance = shop.launch()
    instance_id, automatic = instance["InstanceId"], instance["PublicIpAddress"]
    allocation_id, public_ip = allocated(shop.ec2)

    association_id = shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=instance_id)["AssociationId"]

    assert association_id.startswith("eipassoc-")
    after = shop.describe(instance_id)
    (interface,) = after["NetworkInterfaces"]
    assert after["PublicIpAddress"] == interface["Association"]["PublicIp"] == public_ip != automatic
    assert interface["Association"]["IpOwnerId"] == shop.account_id
    address = described(shop.ec2, allocation_id)
    assert (address["AssociationId"], address["InstanceId"]) == (association_id, instance_id)
    assert address["PrivateIpAddress"] == after["PrivateIpAddress"]
    assert fabric_of(shop.running).interfaces[interface["NetworkInterfaceId"]].public_ip == public_ip


def test_a_disassociated_instance_has_an_automatic_address_again(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    allocation_id, public_ip = allocated(shop.ec2)
    association = shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=instance_id)

    shop.ec2.disassociate_address(AssociationId=association["AssociationId"])

    again = shop.describe(instance_id)["PublicIpAddress"]
    assert again != public_ip
    assert "InstanceId" not in described(shop.ec2, allocation_id)
    with refused("InvalidAssociationID.NotFound"):
        shop.ec2.disassociate_address(AssociationId=association["AssociationId"])


def test_an_address_stays_over_a_stop_and_goes_with_the_instance(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    allocation_id, public_ip = allocated(shop.ec2)
    shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=instance_id)

    shop.stop(instance_id)
    assert shop.describe(instance_id)["PublicIpAddress"] == public_ip
    shop.ec2.start_instances(InstanceIds=[instance_id])
    assert shop.describe(instance_id)["PublicIpAddress"] == public_ip
    shop.ec2.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})
    assert "AssociationId" not in described(shop.ec2, allocation_id)


def test_an_address_moves_unless_that_is_forbidden(shop: Shop) -> None:
    first, second = shop.launch_ids(MinCount=2, MaxCount=2)
    allocation_id, public_ip = allocated(shop.ec2)
    shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=first)

    with refused("Resource.AlreadyAssociated"):
        shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=second, AllowReassociation=False)
    shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=second)

    assert shop.describe(second)["PublicIpAddress"] == public_ip
    assert shop.describe(first)["PublicIpAddress"] != public_ip


def test_each_private_address_can_have_one(shop: Shop) -> None:
    wanted: Any = [{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 1}]
    instance = shop.launch(InstanceType="t3.micro", NetworkInterfaces=wanted)
    (interface,) = instance["NetworkInterfaces"]
    secondary = interface["PrivateIpAddresses"][1]["PrivateIpAddress"]
    interface_id = interface["NetworkInterfaceId"]
    allocation_id, public_ip = allocated(shop.ec2)

    shop.ec2.associate_address(AllocationId=allocation_id, NetworkInterfaceId=interface_id, PrivateIpAddress=secondary)

    (told,) = fabric_of(shop.running).interfaces[interface_id].secondary_ips
    assert (told.private_ip, told.public_ip) == (secondary, public_ip)
    shown = shop.describe(instance["InstanceId"])
    assert shown["PublicIpAddress"] == instance["PublicIpAddress"]
    addresses = shown["NetworkInterfaces"][0]["PrivateIpAddresses"]
    assert addresses[1]["Association"]["PublicIp"] == public_ip
    shop.ec2.unassign_private_ip_addresses(NetworkInterfaceId=interface_id, PrivateIpAddresses=[secondary])
    assert "AssociationId" not in described(shop.ec2, allocation_id)


def test_an_address_in_use_is_not_released(shop: Shop) -> None:
    subnet_id = shop.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface_id = new_interface(shop.ec2, subnet_id)["NetworkInterfaceId"]
    allocation_id, public_ip = allocated(shop.ec2)
    shop.ec2.associate_address(AllocationId=allocation_id, NetworkInterfaceId=interface_id)

    with refused("InvalidIPAddress.InUse"):
        shop.ec2.release_address(AllocationId=allocation_id)
    shop.ec2.delete_network_interface(NetworkInterfaceId=interface_id)
    shop.ec2.release_address(PublicIp=public_ip)

    assert shop.ec2.describe_addresses()["Addresses"] == []


def test_what_makes_no_sense_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    allocation_id, public_ip = allocated(shop.ec2)

    with refused("MissingParameter"):
        shop.ec2.associate_address(InstanceId=instance_id)
    with refused("MissingParameter"):
        shop.ec2.associate_address(AllocationId=allocation_id)
    with refused("InvalidParameterCombination"):
        shop.ec2.associate_address(AllocationId=allocation_id, PublicIp=public_ip, InstanceId=instance_id)
    with refused("InvalidParameterValue"):
        shop.ec2.associate_address(
            AllocationId=allocation_id, InstanceId=instance_id, PrivateIpAddress="172.31.200.200"
        )
    with refused("InvalidInstanceID.NotFound"):
        shop.ec2.associate_address(AllocationId=allocation_id, InstanceId="i-00000000000000000")
    closed = new_interface(shop.ec2, new_subnet(shop.ec2, new_vpc(shop.ec2)))["NetworkInterfaceId"]
    with refused("Gateway.NotAttached"):
        shop.ec2.associate_address(AllocationId=allocation_id, NetworkInterfaceId=closed)
    with refused("MissingParameter"):
        shop.ec2.disassociate_address()
    with refused("InvalidParameterValue"):
        shop.ec2.allocate_address(Domain="standard")
    with refused("UnsupportedOperation"):
        shop.ec2.modify_address_attribute(AllocationId=allocation_id, DomainName="a.example")
    with refused("InvalidAddress.NotFound"):
        shop.ec2.release_address(AllocationId=allocation_id, NetworkBorderGroup="us-west-2")


def test_every_filter_finds_its_address(shop: Shop) -> None:
    allocated(shop.ec2)  # what no filter is to find
    instance = shop.launch()
    allocation_id, public_ip = allocated(shop.ec2, TagSpecifications=tagged("elastic-ip", k="v"))
    association = shop.ec2.associate_address(AllocationId=allocation_id, InstanceId=instance["InstanceId"])

    for name, value in {
        "allocation-id": allocation_id,
        "association-id": association["AssociationId"],
        "instance-id": instance["InstanceId"],
        "network-interface-id": instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "network-interface-owner-id": shop.account_id,
        "private-ip-address": instance["PrivateIpAddress"],
        "public-ip": public_ip,
        "tag:k": "v",
        "tag-key": "k",
    }.items():
        assert found(shop.ec2, name, value) == [allocation_id], name
    assert len(found(shop.ec2, "network-border-group", "us-east-1")) == 2
    assert len(found(shop.ec2, "domain", "vpc")) == 2
    with refused("InvalidParameterValue"):
        found(shop.ec2, "colour", "red")


def test_attributes_of_addresses_come_in_pages(alice: "EC2Client") -> None:
    allocations = {allocated(alice)[0] for _ in range(3)}
    pages = alice.get_paginator("describe_addresses_attribute").paginate(
        Attribute="domain-name", PaginationConfig={"PageSize": 2}
    )

    assert {address["AllocationId"] for page in pages for address in page["Addresses"]} == allocations
