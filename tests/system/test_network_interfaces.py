"""Network interfaces as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.interfaces import attached, default_subnet, described, found
from tests.system.networking import fabric_of, hypervisor_of, new_interface, new_subnet, new_vpc, tagged
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def test_a_new_interface_is_free_and_has_what_was_asked_for(alice: "EC2Client") -> None:
    subnet_id = default_subnet(alice)
    group_id = alice.create_security_group(GroupName="web", Description="d")["GroupId"]

    made = new_interface(
        alice,
        subnet_id,
        Description="spare",
        Groups=[group_id],
        PrivateIpAddress="172.31.5.5",
        SecondaryPrivateIpAddressCount=2,
        TagSpecifications=tagged("network-interface", Name="spare"),
    )
    shown = described(alice, made["NetworkInterfaceId"])

    assert made["Status"] == "pending"
    assert shown["Status"] == "available"
    assert (shown["Description"], shown["SubnetId"], shown["PrivateIpAddress"]) == ("spare", subnet_id, "172.31.5.5")
    assert [group["GroupId"] for group in shown["Groups"]] == [group_id]
    assert shown["TagSet"] == [{"Key": "Name", "Value": "spare"}]
    assert [it["Primary"] for it in shown["PrivateIpAddresses"]] == [True, False, False]
    assert shown["PrivateDnsName"] == "ip-172-31-5-5.ec2.internal"
    assert "Attachment" not in shown


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ({"Groups": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
        ({"PrivateIpAddress": "10.0.0.5"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "172.31.5.1", "PrivateIpAddresses": [{"PrivateIpAddress": "172.31.5.1"}]},
         "InvalidIPAddress.InUse"),
        ({"PrivateIpAddresses": [{"PrivateIpAddress": "172.31.5.1", "Primary": True}] * 2},
         "InvalidParameterCombination"),
        ({"SecondaryPrivateIpAddressCount": 50}, "PrivateIpAddressLimitExceeded"),
        ({"SecondaryPrivateIpAddressCount": -1}, "InvalidParameterValue"),
        ({"Ipv6AddressCount": 1}, "InvalidParameterValue"),
        ({"Ipv6AddressCount": -1}, "InvalidParameterValue"),
        ({"InterfaceType": "efa"}, "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_what_a_subnet_cannot_give_is_refused(alice: "EC2Client", members: dict[str, Any], code: str) -> None:
    with refused(code):
        new_interface(alice, **{"subnet_id": members.pop("SubnetId", None) or default_subnet(alice), **members})

    assert alice.describe_network_interfaces()["NetworkInterfaces"] == []


def test_an_address_in_use_is_refused(alice: "EC2Client") -> None:
    made = new_interface(alice, default_subnet(alice))

    with refused("InvalidIPAddress.InUse"):
        new_interface(alice, default_subnet(alice), PrivateIpAddress=made["PrivateIpAddress"])


def test_groups_of_another_vpc_are_refused(alice: "EC2Client") -> None:
    elsewhere = new_subnet(alice, new_vpc(alice))
    group_id = alice.create_security_group(GroupName="web", Description="d")["GroupId"]

    with refused("InvalidParameter"):
        new_interface(alice, elsewhere, Groups=[group_id])


def test_a_repeated_client_token_makes_one_interface(alice: "EC2Client") -> None:
    subnet_id = default_subnet(alice)

    made = [new_interface(alice, subnet_id, ClientToken="once")["NetworkInterfaceId"] for _ in range(2)]

    assert made[0] == made[1]
    assert len(alice.describe_network_interfaces()["NetworkInterfaces"]) == 1


def test_an_interface_belongs_to_its_account(alice: "EC2Client", bob: "EC2Client") -> None:
    interface_id = new_interface(alice, default_subnet(alice))["NetworkInterfaceId"]

    with refused("InvalidNetworkInterfaceID.NotFound"):
        bob.describe_network_interfaces(NetworkInterfaceIds=[interface_id])
    with refused("InvalidNetworkInterfaceID.NotFound"):
        bob.delete_network_interface(NetworkInterfaceId=interface_id)
    with refused("InvalidNetworkInterfaceId.Malformed"):
        bob.describe_network_interfaces(NetworkInterfaceIds=["eni-x"])


def test_an_interface_is_attached_to_a_running_instance_and_detached(shop: Shop) -> None:
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]

    interface = attached(shop, instance_id)
    both = shop.describe(instance_id)["NetworkInterfaces"]
    shop.ec2.detach_network_interface(AttachmentId=interface["Attachment"]["AttachmentId"])

    assert interface["Status"] == "in-use"
    assert interface["Attachment"]["InstanceId"] == instance_id
    assert interface["Attachment"]["Status"] == "attached"
    assert interface["Attachment"]["DeleteOnTermination"] is False
    assert [it["Attachment"]["DeviceIndex"] for it in both] == [0, 1]
    assert both[1]["NetworkInterfaceId"] == interface["NetworkInterfaceId"]
    assert described(shop.ec2, interface["NetworkInterfaceId"])["Status"] == "available"
    assert len(shop.describe(instance_id)["NetworkInterfaces"]) == 1


def test_an_interface_is_attached_to_a_stopped_instance_that_starts_with_it(shop: Shop) -> None:
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    shop.stop(instance_id)

    interface = attached(shop, instance_id)
    shop.ec2.start_instances(InstanceIds=[instance_id])
    spec = hypervisor_of(shop.running).spec(instance_id)

    assert [it.interface_id for it in spec.interfaces][1] == interface["NetworkInterfaceId"]
    assert "PublicIpAddress" not in shop.describe(instance_id)  # as EC2 gives none to one with several interfaces


def test_what_cannot_be_attached_is_refused(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="t3.micro", Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    first = attached(shop, instance_id)
    spare, elsewhere, crowded = (
        new_interface(shop.ec2, default_subnet(shop.ec2), SecondaryPrivateIpAddressCount=count)["NetworkInterfaceId"]
        if zone == "a"
        else new_interface(shop.ec2, default_subnet(shop.ec2, "us-east-1b"))["NetworkInterfaceId"]
        for zone, count in (("a", 0), ("b", 0), ("a", 4))
    )

    def attach(interface_id: str, device_index: int, on: str = instance_id) -> None:
        shop.ec2.attach_network_interface(NetworkInterfaceId=interface_id, InstanceId=on, DeviceIndex=device_index)

    with refused("InvalidNetworkInterface.InUse"):
        attach(first["NetworkInterfaceId"], 2)
    with refused("InvalidParameterValue"):
        attach(spare, 1)
    with refused("InvalidParameterCombination"):
        attach(elsewhere, 2)
    with refused("InvalidInstanceID.NotFound"):
        attach(spare, 1, on="i-00000000000000000")
    other = shop.launch(InstanceType="t3.nano", Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    with refused("PrivateIpAddressLimitExceeded"):
        attach(crowded, 1, on=other)
    attach(spare, 1, on=other)
    with refused("AttachmentLimitExceeded"):
        attach(new_interface(shop.ec2, default_subnet(shop.ec2))["NetworkInterfaceId"], 2, on=other)


def test_a_type_that_allows_fewer_interfaces_is_refused(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="t3.medium", Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    attached(shop, instance_id)
    attached(shop, instance_id, 2)
    shop.stop(instance_id)

    with refused("AttachmentLimitExceeded"):
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.micro"})


def test_what_cannot_be_detached_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    (primary,) = shop.describe(instance_id)["NetworkInterfaces"]

    with refused("OperationNotPermitted"):
        shop.ec2.detach_network_interface(AttachmentId=primary["Attachment"]["AttachmentId"])
    with refused("InvalidAttachmentID.NotFound"):
        shop.ec2.detach_network_interface(AttachmentId="eni-attach-00000000000000000")


def test_a_guest_may_keep_an_interface_unless_it_is_forced(shop: Shop) -> None:
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    interface = attached(shop, instance_id)
    attachment_id = interface["Attachment"]["AttachmentId"]
    hypervisor_of(shop.running).clinging_guests.add(instance_id)

    with refused("IncorrectState"):
        shop.ec2.detach_network_interface(AttachmentId=attachment_id)
    kept = described(shop.ec2, interface["NetworkInterfaceId"])
    shop.ec2.detach_network_interface(AttachmentId=attachment_id, Force=True)

    assert kept["Attachment"]["Status"] == "attached"
    assert described(shop.ec2, interface["NetworkInterfaceId"])["Status"] == "available"


def test_an_attached_interface_cannot_be_deleted_and_a_free_one_can(shop: Shop) -> None:
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    interface = attached(shop, instance_id)
    interface_id = interface["NetworkInterfaceId"]

    with refused("InvalidParameterValue"):
        shop.ec2.delete_network_interface(NetworkInterfaceId=interface_id)
    shop.ec2.detach_network_interface(AttachmentId=interface["Attachment"]["AttachmentId"])
    shop.ec2.delete_network_interface(NetworkInterfaceId=interface_id)

    with refused("InvalidNetworkInterfaceID.NotFound"):
        described(shop.ec2, interface_id)


def test_termination_deletes_the_interfaces_that_go_with_the_instance(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="t3.medium", Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    kept, going = attached(shop, instance_id), attached(shop, instance_id, 2)
    change: Any = {"AttachmentId": going["Attachment"]["AttachmentId"], "DeleteOnTermination": True}
    shop.ec2.modify_network_interface_attribute(NetworkInterfaceId=going["NetworkInterfaceId"], Attachment=change)

    shop.ec2.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    left = [it["NetworkInterfaceId"] for it in shop.ec2.describe_network_interfaces()["NetworkInterfaces"]]
    assert left == [kept["NetworkInterfaceId"]]
    assert shop.describe(instance_id)["NetworkInterfaces"] == []


def test_attributes_are_changed_one_by_one(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    interface_id = shop.describe(instance_id)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]

    def attribute(name: Any) -> Any:
        return shop.ec2.describe_network_interface_attribute(NetworkInterfaceId=interface_id, Attribute=name)

    change: Any = shop.ec2.modify_network_interface_attribute
    change(NetworkInterfaceId=interface_id, Description={"Value": "changed"})
    change(NetworkInterfaceId=interface_id, Groups=[group_id])
    change(NetworkInterfaceId=interface_id, SourceDestCheck={"Value": False})
    spec = fabric_of(shop.running).interfaces[interface_id]

    assert attribute("description")["Description"] == {"Value": "changed"}
    assert [group["GroupId"] for group in attribute("groupSet")["Groups"]] == [group_id]
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": False}
    assert attribute("attachment")["Attachment"]["InstanceId"] == instance_id
    assert (spec.group_ids, spec.source_dest_check) == ((group_id,), False)
    assert shop.describe(instance_id)["SourceDestCheck"] is False
    shop.ec2.reset_network_interface_attribute(NetworkInterfaceId=interface_id, SourceDestCheck="true")
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": True}


def test_bad_changes_of_attributes_are_refused(alice: "EC2Client") -> None:
    interface_id = new_interface(alice, default_subnet(alice))["NetworkInterfaceId"]
    change: Any = alice.modify_network_interface_attribute

    with refused("MissingParameter"):
        change(NetworkInterfaceId=interface_id)
    with refused("InvalidParameterCombination"):
        change(NetworkInterfaceId=interface_id, Description={"Value": "d"}, SourceDestCheck={"Value": True})
    with refused("InvalidGroup.NotFound"):
        change(NetworkInterfaceId=interface_id, Groups=["sg-00000000000000000"])
    with refused("InvalidAttachmentID.NotFound"):
        change(
            NetworkInterfaceId=interface_id,
            Attachment={"AttachmentId": "eni-attach-00000000000000000", "DeleteOnTermination": True},
        )
    with refused("OperationNotPermitted"):
        alice.create_network_interface_permission(
            NetworkInterfaceId=interface_id, AwsAccountId="111122223333", Permission="INSTANCE-ATTACH"
        )


def test_an_instance_with_one_interface_can_be_named_for_it(shop: Shop) -> None:
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]

    shop.ec2.modify_instance_attribute(InstanceId=instance_id, SourceDestCheck={"Value": False})
    assert shop.attribute(instance_id, "sourceDestCheck") == {"Value": False}
    attached(shop, instance_id)
    with refused("InvalidInstanceID"):
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, SourceDestCheck={"Value": True})


def test_every_filter_finds_its_interface(shop: Shop) -> None:
    instance = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})
    new_interface(shop.ec2, default_subnet(shop.ec2, "us-east-1b"))  # what no filter is to find
    interface = attached(
        shop, instance["InstanceId"], Description="spare", TagSpecifications=tagged("network-interface", k="v")
    )
    interface_id, attachment = interface["NetworkInterfaceId"], interface["Attachment"]
    address = shop.ec2.allocate_address()
    association_id = shop.ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=interface_id)[
        "AssociationId"
    ]

    for name, value in {
        "addresses.association.owner-id": shop.account_id,
        "addresses.association.public-ip": address["PublicIp"],
        "addresses.private-ip-address": interface["PrivateIpAddress"],
        "association.allocation-id": address["AllocationId"],
        "association.association-id": association_id,
        "association.ip-owner-id": shop.account_id,
        "association.public-dns-name": address["PublicIp"],
        "association.public-ip": address["PublicIp"],
        "attachment.attachment-id": attachment["AttachmentId"],
        "attachment.delete-on-termination": "false",
        "attachment.device-index": "1",
        "description": "spare",
        "mac-address": interface["MacAddress"],
        "network-interface-id": interface_id,
        "private-dns-name": interface["PrivateDnsName"],
        "private-ip-address": interface["PrivateIpAddress"],
        "tag:k": "v",
        "tag-key": "k",
    }.items():
        assert found(shop.ec2, name, value) == [interface_id], name
    for name, value in {
        "addresses.primary": "true",
        "attachment.instance-id": instance["InstanceId"],
        "attachment.instance-owner-id": shop.account_id,
        "attachment.status": "attached",
        "availability-zone": "us-east-1a",
        "availability-zone-id": interface["AvailabilityZoneId"],
        "group-id": interface["Groups"][0]["GroupId"],
        "group-name": "default",
        "interface-type": "interface",
        "owner-id": shop.account_id,
        "requester-managed": "false",
        "source-dest-check": "true",
        "status": "in-use",
        "subnet-id": interface["SubnetId"],
        "vpc-id": interface["VpcId"],
    }.items():
        assert interface_id in found(shop.ec2, name, value), name
    with refused("InvalidParameterValue"):
        found(shop.ec2, "colour", "red")
