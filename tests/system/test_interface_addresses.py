"""Further private addresses of interfaces as boto3 sees them."""

from typing import TYPE_CHECKING, Any

from tests.system.interfaces import attached, described, found
from tests.system.networking import fabric_of, new_interface, new_subnet, new_vpc
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def test_secondary_addresses_are_assigned_and_taken_back(shop: Shop) -> None:
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    interface_id = shop.describe(instance_id)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    other_id = attached(shop, instance_id)["NetworkInterfaceId"]

    def addresses(of: str = interface_id) -> list[str]:
        return [it["PrivateIpAddress"] for it in described(shop.ec2, of)["PrivateIpAddresses"]][1:]

    assign: Any = shop.ec2.assign_private_ip_addresses
    answer = assign(NetworkInterfaceId=interface_id, SecondaryPrivateIpAddressCount=1)
    assert [it["PrivateIpAddress"] for it in answer["AssignedPrivateIpAddresses"]] == addresses()
    (address,) = addresses()
    told = fabric_of(shop.running).interfaces[interface_id].secondary_ips
    assert [it.private_ip for it in told] == [address]
    with refused("InvalidIPAddress.InUse"):
        assign(NetworkInterfaceId=other_id, PrivateIpAddresses=[address])
    assign(NetworkInterfaceId=other_id, PrivateIpAddresses=[address], AllowReassignment=True)
    assert (addresses(), addresses(other_id)) == ([], [address])
    shop.ec2.unassign_private_ip_addresses(NetworkInterfaceId=other_id, PrivateIpAddresses=[address])
    assert addresses(other_id) == []
    with refused("InvalidParameterValue"):
        shop.ec2.unassign_private_ip_addresses(NetworkInterfaceId=other_id, PrivateIpAddresses=[address])
    with refused("PrivateIpAddressLimitExceeded"):
        assign(NetworkInterfaceId=interface_id, SecondaryPrivateIpAddressCount=50)
    with refused("InvalidParameterValue"):
        assign(NetworkInterfaceId=interface_id, SecondaryPrivateIpAddressCount=-1)


def test_ipv6_addresses_are_assigned_and_taken_back(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)
    (association,) = alice.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    ipv6_cidr = association["Ipv6CidrBlock"].replace("/56", "/64")
    subnet_id = new_subnet(alice, vpc_id, Ipv6CidrBlock=ipv6_cidr)
    prefix = ipv6_cidr.removesuffix("::/64")

    interface = new_interface(alice, subnet_id, Ipv6AddressCount=1)
    interface_id = interface["NetworkInterfaceId"]
    alice.assign_ipv6_addresses(NetworkInterfaceId=interface_id, Ipv6Addresses=[f"{prefix}::bee"])
    both = [it["Ipv6Address"] for it in described(alice, interface_id)["Ipv6Addresses"]]
    alice.unassign_ipv6_addresses(NetworkInterfaceId=interface_id, Ipv6Addresses=both[:1])

    assert both == [f"{prefix}::4", f"{prefix}::bee"]
    assert [it["Ipv6Address"] for it in described(alice, interface_id)["Ipv6Addresses"]] == both[1:]
    assert found(alice, "ipv6-addresses.ipv6-address", f"{prefix}::bee") == [interface_id]
    with refused("InvalidParameterValue"):
        alice.assign_ipv6_addresses(NetworkInterfaceId=interface_id, Ipv6Addresses=["2001:db8::1"])
