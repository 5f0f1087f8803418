"""Security groups as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import contents, refused
from tests.system.shop import Shop
from tests.system.wire import Wire

from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ANYWHERE = "0.0.0.0/0"


@pytest.fixture
def group_id(alice: "EC2Client") -> str:
    return alice.create_security_group(GroupName="web", Description="the web servers")["GroupId"]


def group(client: "EC2Client", group_id: str) -> Any:
    (found,) = client.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return found


def tcp(port: int, *cidrs: str) -> Any:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr} for cidr in cidrs]}


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


def test_rules_are_answered_one_by_one_and_shown_together(alice: "EC2Client", group_id: str) -> None:
    answer = alice.authorize_security_group_ingress(
        GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE, "10.0.0.0/8"), tcp(443, ANYWHERE)]
    )

    rules = answer["SecurityGroupRules"]
    assert [(rule["FromPort"], rule["CidrIpv4"]) for rule in rules] == [
        (80, ANYWHERE),
        (80, "10.0.0.0/8"),
        (443, ANYWHERE),
    ]
    assert len({rule["SecurityGroupRuleId"] for rule in rules}) == 3
    shown = group(alice, group_id)["IpPermissions"]
    assert [(entry["FromPort"], len(entry["IpRanges"])) for entry in shown] == [(80, 2), (443, 1)]


def test_a_rule_of_each_kind_of_peer_is_shown_as_given(alice: "EC2Client", group_id: str) -> None:
    permission: Any = {
        "IpProtocol": "udp",
        "FromPort": 1,
        "ToPort": 2,
        "IpRanges": [{"CidrIp": "10.1.0.0/16", "Description": "four"}],
        "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32", "Description": "six"}],
        "UserIdGroupPairs": [{"GroupId": group_id, "Description": "itself"}],
    }

    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])

    (shown,) = group(alice, group_id)["IpPermissions"]
    pair = {"GroupId": group_id, "UserId": group(alice, group_id)["OwnerId"], "Description": "itself"}
    assert shown == {**permission, "UserIdGroupPairs": [pair], "PrefixListIds": []}


def test_the_flat_parameters_of_old_clients_make_a_rule(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(
        GroupName="web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="192.0.2.7/24"
    )

    (permission,) = group(alice, group_id)["IpPermissions"]
    assert permission["IpRanges"] == [{"CidrIp": "192.0.2.0/24"}]


def test_a_flat_source_group_lets_everything_of_it_in(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(GroupId=group_id, SourceSecurityGroupName="default")

    (permission,) = group(alice, group_id)["IpPermissions"]
    assert permission["IpProtocol"] == "-1"
    assert len(permission["UserIdGroupPairs"]) == 1


NONSENSE = [
    {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 70_000, "IpRanges": [{"CidrIp": ANYWHERE}]},
    {"IpProtocol": "tcp", "FromPort": 9, "ToPort": 8, "IpRanges": [{"CidrIp": ANYWHERE}]},
    {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": ANYWHERE}]},
    {"IpProtocol": "xyz", "IpRanges": [{"CidrIp": ANYWHERE}]},
    {"IpProtocol": "icmp", "FromPort": 300, "ToPort": -1, "IpRanges": [{"CidrIp": ANYWHERE}]},
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/33"}]},
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0"}]},
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "::/0"}]},
    {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": ANYWHERE}]},
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE, "Description": "<b>"}]},
    {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE, "Description": "d" * 256}]},
]
INCOMPLETE = [
    {"IpProtocol": "-1"},
    {"IpRanges": [{"CidrIp": ANYWHERE}]},
    {"IpProtocol": "-1", "UserIdGroupPairs": [{"Description": "whose"}]},
]
OF_STRANGERS = [
    {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-0123456789abcdef0"}]},
    {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupName": "nobody"}]},
    {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupName": "web", "UserId": "123456789012"}]},
    {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupName": "web", "VpcId": "vpc-01234567"}]},
]


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        *((permission, "InvalidParameterValue") for permission in NONSENSE),
        *((permission, "MissingParameter") for permission in INCOMPLETE),
        *((permission, "InvalidGroup.NotFound") for permission in OF_STRANGERS),
        ({"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-01234567"}]}, "UnsupportedOperation"),
    ],
)
def test_a_rule_that_says_nothing_useful_is_refused(
    alice: "EC2Client", shared: RunningServer, group_id: str, permission: Any, code: str
) -> None:
    before = contents(shared)

    with refused(code):
        alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE), permission])

    assert contents(shared) == before


def test_a_rule_that_is_there_is_refused_whatever_its_description(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    described = tcp(80, ANYWHERE)
    described["IpRanges"][0]["Description"] = "another"

    with refused("InvalidPermission.Duplicate"):
        alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(81, ANYWHERE), described])

    assert len(group(alice, group_id)["IpPermissions"]) == 1


def test_a_rule_given_twice_in_one_request_is_refused(alice: "EC2Client", group_id: str) -> None:
    with refused("InvalidPermission.Duplicate"):
        alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE, ANYWHERE)])


def test_both_forms_of_permissions_at_once_are_refused(alice: "EC2Client", group_id: str) -> None:
    with refused("InvalidParameterCombination"):
        alice.authorize_security_group_ingress(
            GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)], IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp=ANYWHERE
        )


def test_no_permission_is_refused(alice: "EC2Client", group_id: str) -> None:
    with refused("MissingParameter"):
        alice.authorize_security_group_ingress(GroupId=group_id)


def test_a_group_is_named_by_id_or_by_name(alice: "EC2Client", group_id: str) -> None:
    with refused("InvalidParameterCombination"):
        alice.authorize_security_group_ingress(GroupId=group_id, GroupName="web", IpPermissions=[tcp(80, ANYWHERE)])
    with refused("MissingParameter"):
        alice.authorize_security_group_ingress(IpPermissions=[tcp(80, ANYWHERE)])


def test_more_than_sixty_rules_are_refused(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(
        GroupId=group_id, IpPermissions=[tcp(port, ANYWHERE) for port in range(1, 61)]
    )

    with refused("RulesPerSecurityGroupLimitExceeded"):
        alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(61, ANYWHERE)])


def test_a_rule_is_revoked_by_what_it_permits(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE), tcp(81, ANYWHERE)])

    answer = alice.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])

    assert [rule["FromPort"] for rule in answer["RevokedSecurityGroupRules"]] == [80]
    assert [entry["FromPort"] for entry in group(alice, group_id)["IpPermissions"]] == [81]


def test_what_is_shown_can_be_revoked_as_it_is(alice: "EC2Client", group_id: str) -> None:
    for entry in group(alice, group_id)["IpPermissionsEgress"]:
        alice.revoke_security_group_egress(GroupId=group_id, IpPermissions=[entry])

    assert group(alice, group_id)["IpPermissionsEgress"] == []


def test_a_rule_is_revoked_by_its_id(alice: "EC2Client", group_id: str) -> None:
    rules = alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    rule_id = rules["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    alice.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=[rule_id])

    assert group(alice, group_id)["IpPermissions"] == []


def test_revoking_by_id_and_by_permission_at_once_is_refused(alice: "EC2Client", group_id: str) -> None:
    rules = alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    rule_id = rules["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    with refused("InvalidParameterCombination"):
        alice.revoke_security_group_ingress(
            GroupId=group_id, SecurityGroupRuleIds=[rule_id], IpPermissions=[tcp(81, ANYWHERE)]
        )


def test_a_rule_that_is_not_there_cannot_be_revoked(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])

    with refused("InvalidPermission.NotFound"):
        alice.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE), tcp(81, ANYWHERE)])
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        alice.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=["sgr-0123456789abcdef0"])

    assert len(group(alice, group_id)["IpPermissions"]) == 1


def test_egress_and_ingress_are_apart(alice: "EC2Client", group_id: str) -> None:
    alice.authorize_security_group_egress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])

    with refused("InvalidPermission.NotFound"):
        alice.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])

    assert len(group(alice, group_id)["IpPermissionsEgress"]) == 2


def test_rules_are_described_one_by_one(alice: "EC2Client", group_id: str) -> None:
    tags: Any = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "1"}]}]
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)], TagSpecifications=tags)

    def found(name: str, value: str) -> list[tuple[bool, int]]:
        wanted: Any = [{"Name": "group-id", "Values": [group_id]}, {"Name": name, "Values": [value]}]
        rules = alice.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
        return [(rule["IsEgress"], rule["FromPort"]) for rule in rules]

    assert found("group-id", group_id) == [(True, -1), (False, 80)]
    assert found("tag:a", "1") == [(False, 80)]


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


def test_a_change_is_in_the_firewall_before_it_is_answered(shop: Shop) -> None:
    instance = shop.launch()
    group_id = instance["SecurityGroups"][0]["GroupId"]

    shop.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])

    fabric = shop.running.drivers.network
    assert isinstance(fabric, FakeNetworkFabric)
    assert (80, ANYWHERE) in [(rule.from_port, rule.cidr) for rule in fabric.groups[group_id].ingress]


def test_lists_numbered_from_zero_make_the_same_rule(alice: "EC2Client", wire: Wire, group_id: str) -> None:
    answer = wire.ask(
        "AuthorizeSecurityGroupIngress",
        {
            "GroupId": group_id,
            "IpPermissions.0.IpProtocol": "tcp",
            "IpPermissions.0.FromPort": "80",
            "IpPermissions.0.ToPort": "80",
            "IpPermissions.0.IpRanges.0.CidrIp": ANYWHERE,
        },
    )

    assert answer.texts("return") == ["true"]
    assert group(alice, group_id)["IpPermissions"][0]["FromPort"] == 80
