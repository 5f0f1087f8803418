"""Security group rules as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.groups import ANYWHERE, group, tcp
from tests.system.refusals import contents, refused
from tests.system.shop import Shop
from tests.system.wire import Wire

from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


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
        ({"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-01234567"}]}, "InvalidPrefixListID.NotFound"),
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
