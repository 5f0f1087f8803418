"""Security groups as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.groups import ANYWHERE, group, tcp
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def group_names(client: "EC2Client", **how: Any) -> list[str]:
    return [found["GroupName"] for found in client.describe_security_groups(**how)["SecurityGroups"]]


def test_a_new_group_lets_everything_out_and_nothing_in(alice: "EC2Client", group_id: str) -> None:
    made = group(alice, group_id)

    assert made["GroupName"] == "web"
    assert made["Description"] == "the web servers"
    assert made["VpcId"] == alice.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert made["IpPermissions"] == []
    (out,) = made["IpPermissionsEgress"]
    assert (out["IpProtocol"], out["IpRanges"]) == ("-1", [{"CidrIp": ANYWHERE}])
    assert "FromPort" not in out


def test_an_account_begins_with_a_default_group_that_lets_itself_in(alice: "EC2Client") -> None:
    (default,) = alice.describe_security_groups()["SecurityGroups"]

    assert default["GroupName"] == "default"
    (permission,) = default["IpPermissions"]
    (pair,) = permission["UserIdGroupPairs"]
    assert (pair["GroupId"], pair["UserId"]) == (default["GroupId"], default["OwnerId"])


def test_a_name_is_used_once_in_a_vpc(alice: "EC2Client", bob: "EC2Client", group_id: str) -> None:
    with refused("InvalidGroup.Duplicate"):
        alice.create_security_group(GroupName="web", Description="again")

    assert bob.create_security_group(GroupName="web", Description="of bob")["GroupId"] != group_id


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("default", "InvalidGroup.Reserved"),
        ("sg-mine", "InvalidParameterValue"),
        ("a" * 256, "InvalidParameterValue"),
        ("grün", "InvalidParameterValue"),
    ],
)
def test_a_name_that_ec2_would_not_take_is_refused(alice: "EC2Client", name: str, code: str) -> None:
    with refused(code):
        alice.create_security_group(GroupName=name, Description="d")


def test_a_description_that_ec2_would_not_take_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        alice.create_security_group(GroupName="g", Description="<b>")


def test_a_group_of_no_vpc_of_the_caller_is_refused(alice: "EC2Client", bob: "EC2Client") -> None:
    with refused("InvalidVpcID.NotFound"):
        alice.create_security_group(GroupName="g", Description="d", VpcId=bob.describe_vpcs()["Vpcs"][0]["VpcId"])


def test_tags_given_at_the_making_are_answered_and_kept(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "1"}]}]

    made = alice.create_security_group(GroupName="g", Description="d", TagSpecifications=tags)

    assert made["Tags"] == [{"Key": "a", "Value": "1"}]
    assert group(alice, made["GroupId"])["Tags"] == made["Tags"]


def test_groups_are_chosen_by_what_they_permit_and_how_they_are_named(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, "10.0.0.0/8")])
    vpc_id = alice.describe_vpcs()["Vpcs"][0]["VpcId"]

    def found(name: str, value: str) -> list[str]:
        return group_names(alice, Filters=[{"Name": name, "Values": [value]}])

    assert found("group-name", "w*") == ["web"]
    assert found("group-id", group_id) == ["web"]
    assert found("description", "the web servers") == ["web"]
    assert found("vpc-id", vpc_id) == ["default", "web"]
    assert found("ip-permission.to-port", "80") == ["web"]
    assert found("ip-permission.cidr", "10.0.0.0/8") == ["web"]
    assert found("ip-permission.protocol", "tcp") == ["web"]
    assert found("egress.ip-permission.cidr", ANYWHERE) == ["default", "web"]
    with refused("InvalidParameterValue"):
        found("colour", "red")


def test_groups_are_described_by_id_or_name_or_not_found(alice: "EC2Client", bob: "EC2Client", group_id: str) -> None:
    assert group_names(alice, GroupNames=["web"]) == ["web"]
    with refused("InvalidGroup.NotFound"):
        alice.describe_security_groups(GroupNames=["nobody"])
    with refused("InvalidGroup.NotFound"):
        bob.describe_security_groups(GroupIds=[group_id])
    with refused("InvalidGroupId.Malformed"):
        alice.describe_security_groups(GroupIds=["web"])


def test_another_account_can_neither_use_nor_change_a_group(
    alice: "EC2Client", bob: "EC2Client", carol: "EC2Client", group_id: str
) -> None:
    own = carol.create_security_group(GroupName="g", Description="d")["GroupId"]
    pair: Any = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}

    with refused("InvalidGroup.NotFound"):
        bob.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    with refused("InvalidGroup.NotFound"):
        bob.delete_security_group(GroupId=group_id)
    with refused("InvalidGroup.NotFound"):
        carol.authorize_security_group_ingress(GroupId=own, IpPermissions=[pair])

    assert group(alice, group_id)["IpPermissions"] == []


def test_a_group_is_deleted_by_id_or_name(alice: "EC2Client", group_id: str) -> None:
    alice.create_security_group(GroupName="other", Description="d")

    assert alice.delete_security_group(GroupId=group_id)["Return"]
    alice.delete_security_group(GroupName="other")

    assert group_names(alice) == ["default"]
    with refused("InvalidGroup.NotFound"):
        alice.delete_security_group(GroupId=group_id)


def test_the_default_group_stays(alice: "EC2Client") -> None:
    with refused("CannotDelete"):
        alice.delete_security_group(GroupName="default")


def test_a_group_that_another_names_cannot_be_deleted(alice: "EC2Client", group_id: str) -> None:
    pair: Any = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}
    other = alice.create_security_group(GroupName="other", Description="d")["GroupId"]
    alice.authorize_security_group_ingress(GroupId=other, IpPermissions=[pair])

    with refused("DependencyViolation"):
        alice.delete_security_group(GroupId=group_id)
    alice.revoke_security_group_ingress(GroupId=other, IpPermissions=[pair])
    alice.delete_security_group(GroupId=group_id)


def test_a_group_that_names_only_itself_can_be_deleted(alice: "EC2Client", group_id: str) -> None:
    pair: Any = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group_id}]}
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[pair])

    alice.delete_security_group(GroupId=group_id)


def test_a_group_that_an_instance_carries_cannot_be_deleted(shop: Shop) -> None:
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    instance = shop.launch(SecurityGroupIds=[group_id])

    with refused("DependencyViolation"):
        shop.ec2.delete_security_group(GroupId=group_id)
    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1})
    shop.ec2.delete_security_group(GroupId=group_id)
