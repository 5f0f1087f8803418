"""Interfaces that come with a launch."""

from typing import Any

import pytest
from tests.system.interfaces import default_subnet
from tests.system.networking import fabric_of, new_interface, new_subnet, new_vpc
from tests.system.refusals import refused
from tests.system.shop import Shop


def test_a_launch_takes_several_interfaces(shop: Shop) -> None:
    subnet_id = default_subnet(shop.ec2)
    existing = new_interface(shop.ec2, subnet_id)["NetworkInterfaceId"]
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    wanted: Any = [
        {"DeviceIndex": 2, "SubnetId": subnet_id, "DeleteOnTermination": False, "Description": "third"},
        {"DeviceIndex": 0, "SubnetId": subnet_id, "Groups": [group_id], "SecondaryPrivateIpAddressCount": 1},
        {"DeviceIndex": 1, "NetworkInterfaceId": existing},
    ]

    instance = shop.launch(InstanceType="t3.medium", NetworkInterfaces=wanted)
    first, second, third = instance["NetworkInterfaces"]

    assert (second["NetworkInterfaceId"], third["Description"]) == (existing, "third")
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [group_id]
    assert len(first["PrivateIpAddresses"]) == 2
    assert [it["Attachment"]["DeleteOnTermination"] for it in (first, second, third)] == [True, False, False]
    assert "PublicIpAddress" not in instance
    ids = {it["NetworkInterfaceId"] for it in (first, second, third)}
    assert set(fabric_of(shop.running).interfaces) >= ids
    assert shop.found(("network-interface.network-interface-id", existing)) == [instance["InstanceId"]]
    assert shop.found(("network-interface.attachment.device-index", "2")) == [instance["InstanceId"]]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ([{"DeviceIndex": 0}, {"DeviceIndex": 0}], "InvalidParameterValue"),
        ([{"DeviceIndex": 0}, {"SubnetId": "subnet-00000000000000000"}], "MissingParameter"),
        ([{"DeviceIndex": 0, "NetworkInterfaceId": "eni-00000000000000000"}], "InvalidNetworkInterfaceID.NotFound"),
        ([{"DeviceIndex": 0, "AssociatePublicIpAddress": True}, {"DeviceIndex": 1}], "InvalidParameterCombination"),
        ([{"DeviceIndex": number} for number in range(3)], "AttachmentLimitExceeded"),
        ([{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 2}], "PrivateIpAddressLimitExceeded"),
        ([{"DeviceIndex": 0, "InterfaceType": "efa"}], "UnsupportedOperation"),
    ],
)
def test_interfaces_that_a_launch_cannot_have_are_refused(shop: Shop, wanted: Any, code: str) -> None:
    with refused(code):
        shop.launch(InstanceType="t3.nano", NetworkInterfaces=wanted)

    assert shop.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_one_interface_cannot_be_launched_twice(shop: Shop) -> None:
    existing: Any = [
        {
            "DeviceIndex": 0,
            "NetworkInterfaceId": new_interface(shop.ec2, default_subnet(shop.ec2))["NetworkInterfaceId"],
        }
    ]

    with refused("InvalidParameterCombination"):
        shop.launch_ids(MinCount=2, MaxCount=2, NetworkInterfaces=existing)
    shop.launch(NetworkInterfaces=existing)
    with refused("InvalidNetworkInterface.InUse"):
        shop.launch(NetworkInterfaces=existing)


def test_a_launch_into_a_dual_stack_subnet_has_ipv6_addresses(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2, AmazonProvidedIpv6CidrBlock=True)
    (association,) = shop.ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    ipv6_cidr = association["Ipv6CidrBlock"].replace("/56", "/64")
    subnet_id = new_subnet(shop.ec2, vpc_id, Ipv6CidrBlock=ipv6_cidr)
    prefix = ipv6_cidr.removesuffix("::/64")

    counted = shop.launch(SubnetId=subnet_id, Ipv6AddressCount=1)
    given = shop.launch(SubnetId=subnet_id, Ipv6Addresses=[{"Ipv6Address": f"{prefix}::bee"}])

    assert (counted["Ipv6Address"], given["Ipv6Address"]) == (f"{prefix}::4", f"{prefix}::bee")
    assert shop.found(("ipv6-address", f"{prefix}::bee")) == [given["InstanceId"]]
    told = fabric_of(shop.running).interfaces[given["NetworkInterfaces"][0]["NetworkInterfaceId"]]
    assert told.ipv6_addresses == (f"{prefix}::bee",)


def test_a_primary_interface_that_is_to_stay_survives_its_instance(shop: Shop) -> None:
    wanted: Any = [{"DeviceIndex": 0, "DeleteOnTermination": False}]
    instance = shop.launch(NetworkInterfaces=wanted)
    interface_id = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]

    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1})
    again = shop.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": interface_id}])

    assert again["PrivateIpAddress"] == instance["PrivateIpAddress"]
    assert shop.describe(instance["InstanceId"])["NetworkInterfaces"] == []
