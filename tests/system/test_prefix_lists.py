"""Managed prefix lists as boto3 sees them, and as the firewall does."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.groups import ANYWHERE, tcp
from tests.system.networking import fabric_of, new_prefix_list, tagged
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def entries(client: "EC2Client", list_id: str, **members: Any) -> list[str]:
    return [it["Cidr"] for it in client.get_managed_prefix_list_entries(PrefixListId=list_id, **members)["Entries"]]


def described(client: "EC2Client", list_id: str) -> Any:
    (prefix_list,) = client.describe_managed_prefix_lists(PrefixListIds=[list_id])["PrefixLists"]
    return prefix_list


def naming(list_id: str) -> Any:
    return [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListIds": [{"PrefixListId": list_id}]}]


def test_a_list_is_made_with_its_entries(alice: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "10.1.2.3/16", "192.0.2.0/24", TagSpecifications=tagged("prefix-list", k="v"))

    shown = described(alice, list_id)

    assert entries(alice, list_id) == ["10.1.0.0/16", "192.0.2.0/24"]
    assert (shown["State"], shown["Version"], shown["MaxEntries"]) == ("create-complete", 1, 5)
    assert (shown["PrefixListName"], shown["AddressFamily"]) == ("offices", "IPv4")
    assert shown["Tags"] == [{"Key": "k", "Value": "v"}]


def test_a_change_makes_a_version_and_an_earlier_one_can_be_restored(alice: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "10.1.0.0/16")

    alice.modify_managed_prefix_list(
        PrefixListId=list_id,
        CurrentVersion=1,
        AddEntries=[{"Cidr": "10.2.0.0/16"}],
        RemoveEntries=[{"Cidr": "10.1.0.0/16"}],
    )
    assert (entries(alice, list_id), described(alice, list_id)["Version"]) == (["10.2.0.0/16"], 2)
    assert entries(alice, list_id, TargetVersion=1) == ["10.1.0.0/16"]
    alice.restore_managed_prefix_list_version(PrefixListId=list_id, PreviousVersion=1, CurrentVersion=2)
    assert (entries(alice, list_id), described(alice, list_id)["Version"]) == (["10.1.0.0/16"], 3)
    alice.modify_managed_prefix_list(PrefixListId=list_id, PrefixListName="homes", MaxEntries=9)
    shown = described(alice, list_id)
    assert (shown["PrefixListName"], shown["MaxEntries"], shown["Version"]) == ("homes", 9, 3)


def test_rules_that_name_a_list_follow_it(shop: Shop) -> None:
    list_id = new_prefix_list(shop.ec2, "192.0.2.0/24", "198.51.100.0/24")
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    shop.launch(SecurityGroupIds=[group_id])
    fabric = fabric_of(shop.running)

    def permitted() -> list[str | None]:
        return [rule.cidr for rule in fabric.groups[group_id].ingress]

    answer = shop.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=naming(list_id))
    assert answer["SecurityGroupRules"][0]["PrefixListId"] == list_id
    assert permitted() == ["192.0.2.0/24", "198.51.100.0/24"]
    shop.ec2.modify_managed_prefix_list(
        PrefixListId=list_id, CurrentVersion=1, RemoveEntries=[{"Cidr": "192.0.2.0/24"}]
    )
    assert permitted() == ["198.51.100.0/24"]
    users = shop.ec2.get_managed_prefix_list_associations(PrefixListId=list_id)["PrefixListAssociations"]
    assert [it["ResourceId"] for it in users] == [group_id]
    with refused("DependencyViolation"):
        shop.ec2.delete_managed_prefix_list(PrefixListId=list_id)
    shop.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=naming(list_id))
    assert permitted() == []
    shop.ec2.delete_managed_prefix_list(PrefixListId=list_id)
    with refused("InvalidPrefixListID.NotFound"):
        described(shop.ec2, list_id)


def test_a_group_shows_the_lists_that_it_names(alice: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "192.0.2.0/24")
    group_id = alice.create_security_group(GroupName="web", Description="d")["GroupId"]
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=naming(list_id))
    wanted: Any = [{"Name": "ip-permission.prefix-list-id", "Values": [list_id]}]

    (group,) = alice.describe_security_groups(Filters=wanted)["SecurityGroups"]

    assert group["GroupId"] == group_id
    assert group["IpPermissions"][0]["PrefixListIds"] == [{"PrefixListId": list_id}]


def test_a_list_counts_for_as_many_rules_as_it_may_have_entries(alice: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "192.0.2.0/24", MaxEntries=61)
    group_id = alice.create_security_group(GroupName="web", Description="d")["GroupId"]

    with refused("RulesPerSecurityGroupLimitExceeded"):
        alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=naming(list_id))


def test_a_list_does_not_grow_beyond_what_a_group_that_names_it_can_have(alice: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "192.0.2.0/24", MaxEntries=5)
    group_id = alice.create_security_group(GroupName="web", Description="d")["GroupId"]
    alice.authorize_security_group_ingress(GroupId=group_id, IpPermissions=naming(list_id))

    answer = alice.modify_managed_prefix_list(PrefixListId=list_id, PrefixListName="homes", MaxEntries=61)
    failed = described(alice, list_id)
    alice.modify_managed_prefix_list(PrefixListId=list_id, MaxEntries=60)
    grown = described(alice, list_id)

    assert answer["PrefixList"]["State"] == "modify-in-progress"
    assert (failed["State"], failed["MaxEntries"], failed["PrefixListName"]) == ("modify-failed", 5, "offices")
    assert group_id in failed["StateMessage"]
    assert (grown["State"], grown["MaxEntries"], "StateMessage" in grown) == ("modify-complete", 60, False)


def test_a_changed_rule_counts_for_the_list_that_it_comes_to_name(alice: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "192.0.2.0/24", MaxEntries=60)
    group_id = alice.create_security_group(GroupName="web", Description="d")["GroupId"]
    added = alice.authorize_security_group_ingress(
        GroupId=group_id, IpPermissions=[tcp(80, ANYWHERE), tcp(81, ANYWHERE)]
    )
    rule_id = added["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    wanted: Any = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "PrefixListId": list_id}
    changes: Any = [{"SecurityGroupRuleId": rule_id, "SecurityGroupRule": wanted}]

    with refused("RulesPerSecurityGroupLimitExceeded"):
        alice.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=changes)
    alice.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[tcp(81, ANYWHERE)])
    alice.modify_security_group_rules(GroupId=group_id, SecurityGroupRules=changes)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"MaxEntries": 0}, "InvalidParameterValue"),
        (
            {"MaxEntries": 1, "Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "11.0.0.0/8"}]},
            "PrefixListMaxEntriesExceeded",
        ),
        ({"Entries": [{"Cidr": "10.0.0.0/8"}, {"Cidr": "10.0.0.0/8"}]}, "InvalidParameterValue"),
        ({"Entries": [{"Cidr": "2001:db8::/32"}]}, "InvalidParameterValue"),
        ({"AddressFamily": "IPv5"}, "InvalidParameterValue"),
        ({"PrefixListName": "com.amazonaws.mine"}, "InvalidParameterValue"),
    ],
)
def test_a_bad_list_is_refused(alice: "EC2Client", members: dict[str, Any], code: str) -> None:
    usual: Any = {"PrefixListName": "offices", "AddressFamily": "IPv4", "MaxEntries": 5}

    with refused(code):
        alice.create_managed_prefix_list(**{**usual, **members})

    assert alice.describe_managed_prefix_lists()["PrefixLists"] == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"CurrentVersion": 7, "AddEntries": [{"Cidr": "10.2.0.0/16"}]}, "PrefixListVersionMismatch"),
        ({"AddEntries": [{"Cidr": "10.2.0.0/16"}]}, "MissingParameter"),
        ({"CurrentVersion": 1, "AddEntries": [{"Cidr": "10.1.0.0/16"}]}, "InvalidParameterValue"),
        ({"CurrentVersion": 1, "RemoveEntries": [{"Cidr": "10.2.0.0/16"}]}, "InvalidParameterValue"),
        ({"CurrentVersion": 1, "RemoveEntries": [{"Cidr": "10.1.0.0/16"}], "MaxEntries": 2},
         "InvalidParameterCombination"),
    ],
)  # fmt: skip
def test_a_bad_change_is_refused_and_changes_nothing(alice: "EC2Client", members: dict[str, Any], code: str) -> None:
    list_id = new_prefix_list(alice, "10.1.0.0/16")

    with refused(code):
        alice.modify_managed_prefix_list(PrefixListId=list_id, **members)

    assert described(alice, list_id)["Version"] == 1


def test_a_list_belongs_to_its_account(alice: "EC2Client", bob: "EC2Client") -> None:
    list_id = new_prefix_list(alice, "10.1.0.0/16")
    group_id = bob.create_security_group(GroupName="web", Description="d")["GroupId"]

    with refused("InvalidPrefixListID.NotFound"):
        bob.get_managed_prefix_list_entries(PrefixListId=list_id)
    with refused("InvalidPrefixListID.NotFound"):
        bob.authorize_security_group_ingress(GroupId=group_id, IpPermissions=naming(list_id))
    with refused("PrefixListVersionNotFound"):
        alice.get_managed_prefix_list_entries(PrefixListId=list_id, TargetVersion=2)


def test_lists_are_found_by_filters(alice: "EC2Client") -> None:
    new_prefix_list(alice, PrefixListName="other")
    list_id = new_prefix_list(alice, TagSpecifications=tagged("prefix-list", k="v"))

    for name, value in {"prefix-list-id": list_id, "prefix-list-name": "offices", "tag:k": "v"}.items():
        wanted: Any = [{"Name": name, "Values": [value]}]
        shown = alice.describe_managed_prefix_lists(Filters=wanted)["PrefixLists"]
        assert [it["PrefixListId"] for it in shown] == [list_id], name
    assert alice.describe_prefix_lists()["PrefixLists"] == []
    with refused("InvalidPrefixListID.NotFound"):
        alice.describe_prefix_lists(PrefixListIds=[list_id])
