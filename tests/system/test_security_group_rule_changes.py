"""Rules that are changed in place: what they permit, and what is said of them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.groups import ANYWHERE, group, tcp
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

UNKNOWN = "sgr-0123456789abcdef0"
EVERYTHING: Any = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE, "Description": "out"}]}


@pytest.fixture
def rule_id(alice: "EC2Client", group_id: str) -> str:
    """A rule that lets everybody to port 80."""
    added = alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    return added["SecurityGroupRules"][0]["SecurityGroupRuleId"]


def rule(client: "EC2Client", rule_id: str) -> Any:
    (found,) = client.describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"]
    return found


def change(rule_id: str, **members: Any) -> Any:
    return [{"SecurityGroupRuleId": rule_id, "SecurityGroupRule": members}]


def test_a_changed_rule_keeps_its_id_and_is_what_was_asked_for(alice: "EC2Client", group_id: str, rule_id: str) -> None:
    wanted = {"IpProtocol": "udp", "FromPort": 53, "ToPort": 54, "CidrIpv4": "10.0.0.0/8", "Description": "names"}

    alice.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=change(rule_id, **wanted))

    found = rule(alice, rule_id)
    assert {name: found[name] for name in wanted} == wanted


def test_the_firewall_of_a_running_instance_has_the_change(shop: Shop) -> None:
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    added = shop.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    shop.launch(SecurityGroupIds=[group_id])
    rule_id = added["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    wanted = change(rule_id, IpProtocol="tcp", FromPort=81, ToPort=82, CidrIpv4="10.0.0.0/8")

    shop.ec2.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=wanted)

    fabric = shop.running.drivers.network
    assert isinstance(fabric, FakeNetworkFabric)
    (applied,) = fabric.groups[group_id].ingress
    assert (applied.from_port, applied.to_port, applied.cidr) == (81, 82, "10.0.0.0/8")


@pytest.mark.parametrize(
    "source",
    [{"CidrIpv6": "2001:db8::/32"}, {"ReferencedGroupId": "itself"}],
)
def test_a_rule_may_get_another_kind_of_source(
    alice: "EC2Client", group_id: str, rule_id: str, source: dict[str, str]
) -> None:
    ((member, value),) = source.items()
    wanted = {member: value.replace("itself", group_id), "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}

    alice.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=change(rule_id, **wanted))

    assert "CidrIpv4" not in rule(alice, rule_id)


def test_a_change_to_what_another_rule_permits_is_refused(alice: "EC2Client", group_id: str, rule_id: str) -> None:
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(81, ANYWHERE)])
    same: Any = {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "CidrIpv4": ANYWHERE}

    with refused("InvalidPermission.Duplicate"):
        alice.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=change(rule_id, **same))


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}, "MissingParameter"),
        ({"IpProtocol": "tcp", "CidrIpv4": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "-1", "CidrIpv4": ANYWHERE, "CidrIpv6": "::/0"}, "InvalidParameterCombination"),
        ({"IpProtocol": "-1", "CidrIpv4": ANYWHERE, "Description": "ä"}, "InvalidParameterValue"),
        ({"IpProtocol": "-1", "ReferencedGroupId": "sg-0123456789abcdef0"}, "InvalidGroup.NotFound"),
    ],
)
def test_a_change_to_what_is_no_rule_is_refused(
    alice: "EC2Client", group_id: str, rule_id: str, members: dict[str, Any], code: str
) -> None:
    with refused(code):
        alice.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=change(rule_id, **members))


def test_rules_of_other_groups_and_accounts_are_not_found(
    alice: "EC2Client", bob: "EC2Client", group_id: str, rule_id: str
) -> None:
    other = alice.create_security_group(GroupName="other", Description="d")["GroupId"]
    everything = change(rule_id, IpProtocol="-1", CidrIpv4=ANYWHERE)

    with refused("InvalidSecurityGroupRuleId.NotFound"):
        alice.modify_security_group_rules(GroupId=other, SecurityGroupRules=everything)
    with refused("InvalidGroup.NotFound"):
        bob.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=everything)
    with refused("InvalidGroup.NotFound"):
        bob.update_security_group_rule_descriptions_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])


def test_a_rule_is_described_by_what_it_permits_and_then_by_nothing(
    alice: "EC2Client", group_id: str, rule_id: str
) -> None:
    described: Any = tcp(80, ANYWHERE)
    described["IpRanges"][0]["Description"] = "web"

    alice.update_security_group_rule_descriptions_ingress(GroupId=group_id, IpPermissions=[described])
    assert rule(alice, rule_id)["Description"] == "web"

    alice.update_security_group_rule_descriptions_ingress(GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE)])
    assert "Description" not in rule(alice, rule_id)


def test_a_rule_is_described_by_its_id(alice: "EC2Client", group_id: str, rule_id: str) -> None:
    said: Any = [{"SecurityGroupRuleId": rule_id, "Description": "web"}]

    alice.update_security_group_rule_descriptions_ingress(GroupName="web", SecurityGroupRuleDescriptions=said)

    assert group(alice, group_id)["IpPermissions"][0]["IpRanges"] == [{"CidrIp": ANYWHERE, "Description": "web"}]


def test_what_goes_out_is_described_apart_from_what_comes_in(alice: "EC2Client", group_id: str, rule_id: str) -> None:
    alice.update_security_group_rule_descriptions_egress(GroupId=group_id, IpPermissions=[EVERYTHING])

    assert group(alice, group_id)["IpPermissionsEgress"][0]["IpRanges"][0]["Description"] == "out"
    with refused("InvalidPermission.NotFound"):
        alice.update_security_group_rule_descriptions_ingress(GroupId=group_id, IpPermissions=[EVERYTHING])
    said: Any = [{"SecurityGroupRuleId": rule_id, "Description": "web"}]
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        alice.update_security_group_rule_descriptions_egress(GroupId=group_id, SecurityGroupRuleDescriptions=said)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"IpPermissions": [tcp(81, ANYWHERE)]}, "InvalidPermission.NotFound"),
        ({"SecurityGroupRuleDescriptions": [{"Description": "d"}]}, "MissingParameter"),
        ({"SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": UNKNOWN}]}, "InvalidSecurityGroupRuleId.NotFound"),
        (
            {"SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": UNKNOWN}], "IpPermissions": [EVERYTHING]},
            "InvalidParameterCombination",
        ),
    ],
)
def test_a_description_of_no_rule_is_refused(
    alice: "EC2Client", group_id: str, members: dict[str, Any], code: str
) -> None:
    with refused(code):
        alice.update_security_group_rule_descriptions_ingress(GroupId=group_id, **members)


def test_a_rule_and_its_group_are_tagged_at_once(alice: "EC2Client", group_id: str, rule_id: str) -> None:
    other = alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(81, ANYWHERE)])
    other_id = other["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    alice.create_tags(Resources=[rule_id, group_id, other_id], Tags=[{"Key": "Team", "Value": "a"}])

    tags = alice.describe_tags(Filters=[{"Name": "key", "Values": ["Team"]}])["Tags"]
    kinds = {(tag["ResourceId"], tag["ResourceType"]) for tag in tags}
    rules = {(rule_id, "security-group-rule"), (other_id, "security-group-rule")}
    assert kinds == {(group_id, "security-group"), *rules}


def test_tags_of_a_rule_are_removed(alice: "EC2Client", group_id: str, rule_id: str) -> None:
    alice.create_tags(Resources=[rule_id], Tags=[{"Key": "Team", "Value": "a"}, {"Key": "Kept", "Value": "b"}])

    alice.delete_tags(Resources=[rule_id], Tags=[{"Key": "Team"}])

    assert rule(alice, rule_id)["Tags"] == [{"Key": "Kept", "Value": "b"}]
    assert "Tags" not in group(alice, group_id) or group(alice, group_id)["Tags"] == []


def test_a_rule_of_another_account_is_not_tagged(bob: "EC2Client", rule_id: str) -> None:
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        bob.create_tags(Resources=[rule_id], Tags=[{"Key": "Team", "Value": "a"}])
