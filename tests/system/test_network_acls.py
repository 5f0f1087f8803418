"""Network ACLs as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.networking import new_subnet, new_vpc, of_vpc, tagged
from tests.system.refusals import refused

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

SSH: Any = {
    "RuleNumber": 100,
    "Protocol": "6",
    "RuleAction": "allow",
    "Egress": False,
    "CidrBlock": "192.0.2.0/24",
    "PortRange": {"From": 22, "To": 22},
}


def new_acl(client: "EC2Client", vpc_id: str, **members: Any) -> str:
    return client.create_network_acl(VpcId=vpc_id, **members)["NetworkAcl"]["NetworkAclId"]


def acl(client: "EC2Client", acl_id: str) -> Any:
    return client.describe_network_acls(NetworkAclIds=[acl_id])["NetworkAcls"][0]


def ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [it["NetworkAclId"] for it in client.describe_network_acls(Filters=wanted)["NetworkAcls"]]


def entries(client: "EC2Client", acl_id: str) -> list[tuple[bool, int, str]]:
    return [(it["Egress"], it["RuleNumber"], it["RuleAction"]) for it in acl(client, acl_id)["Entries"]]


def test_the_default_acl_lets_everything_pass_and_a_new_one_nothing(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    (default,) = ids(alice, ("vpc-id", vpc_id), ("default", "true"))

    made = new_acl(alice, vpc_id)

    last = [(True, 32767, "deny"), (False, 32767, "deny")]
    assert entries(alice, made) == last
    assert entries(alice, default) == [(True, 100, "allow"), last[0], (False, 100, "allow"), last[1]]
    assert not acl(alice, made)["IsDefault"]


def test_an_entry_is_made_replaced_and_deleted(alice: "EC2Client") -> None:
    made = new_acl(alice, new_vpc(alice))

    alice.create_network_acl_entry(NetworkAclId=made, **SSH)

    assert acl(alice, made)["Entries"][1] == SSH
    with refused("NetworkAclEntryAlreadyExists"):
        alice.create_network_acl_entry(NetworkAclId=made, **SSH)
    alice.create_network_acl_entry(NetworkAclId=made, **{**SSH, "Egress": True})
    alice.replace_network_acl_entry(NetworkAclId=made, **{**SSH, "RuleAction": "deny"})
    assert (False, 100, "deny") in entries(alice, made)
    alice.delete_network_acl_entry(NetworkAclId=made, RuleNumber=100, Egress=False)
    assert (True, 100, "allow") in entries(alice, made)
    with refused("InvalidNetworkAclEntry.NotFound"):
        alice.delete_network_acl_entry(NetworkAclId=made, RuleNumber=100, Egress=False)
    with refused("InvalidNetworkAclEntry.NotFound"):
        alice.replace_network_acl_entry(NetworkAclId=made, **SSH)


def test_entries_are_shown_in_their_normal_form(alice: "EC2Client") -> None:
    made = new_acl(alice, new_vpc(alice))
    given: list[Any] = [
        {"Protocol": "tcp", "CidrBlock": "192.0.2.7/24", "PortRange": {"From": 0, "To": 65535}},
        {"Protocol": "-1", "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 1, "To": 2}},
        {"Protocol": "icmp", "CidrBlock": "0.0.0.0/0", "IcmpTypeCode": {"Type": 8, "Code": -1}},
        {"Protocol": "58", "Ipv6CidrBlock": "::/0", "IcmpTypeCode": {"Type": -1, "Code": -1}},
        {"Protocol": "47", "CidrBlock": "10.0.0.0/8"},
    ]

    for number, members in enumerate(given, 1):
        alice.create_network_acl_entry(
            NetworkAclId=made, RuleNumber=number, RuleAction="allow", Egress=False, **members
        )

    shown = [it for it in acl(alice, made)["Entries"] if not it["Egress"]][:-1]
    kept = ("Protocol", "CidrBlock", "Ipv6CidrBlock", "PortRange", "IcmpTypeCode")
    assert [{key: it[key] for key in kept if key in it} for it in shown] == [
        {"Protocol": "6", "CidrBlock": "192.0.2.0/24", "PortRange": {"From": 0, "To": 65535}},
        {"Protocol": "-1", "CidrBlock": "0.0.0.0/0"},
        {"Protocol": "1", "CidrBlock": "0.0.0.0/0", "IcmpTypeCode": {"Type": 8, "Code": -1}},
        {"Protocol": "58", "Ipv6CidrBlock": "::/0", "IcmpTypeCode": {"Type": -1, "Code": -1}},
        {"Protocol": "47", "CidrBlock": "10.0.0.0/8"},
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"RuleNumber": 0}, "InvalidParameterValue"),
        ({"RuleNumber": 32767}, "InvalidParameterValue"),
        ({"Protocol": "256"}, "InvalidParameterValue"),
        ({"Protocol": "gre"}, "InvalidParameterValue"),
        ({"Protocol": "1"}, "MissingParameter"),
        ({"CidrBlock": "192.0.2.0/33"}, "InvalidParameterValue"),
        ({"CidrBlock": "::/0"}, "InvalidParameterValue"),
        ({"CidrBlock": None}, "MissingParameter"),
        ({"Ipv6CidrBlock": "::/0"}, "InvalidParameterCombination"),
        ({"PortRange": None}, "MissingParameter"),
        ({"PortRange": {"From": 22}}, "MissingParameter"),
        ({"PortRange": {"From": 23, "To": 22}}, "InvalidParameterValue"),
        ({"PortRange": {"From": 0, "To": 65536}}, "InvalidParameterValue"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(alice: "EC2Client", change: dict[str, Any], code: str) -> None:
    made = new_acl(alice, new_vpc(alice))
    members: Any = {name: value for name, value in {**SSH, **change}.items() if value is not None}

    with refused(code):
        alice.create_network_acl_entry(NetworkAclId=made, **members)


def test_an_acl_has_forty_entries_for_each_direction(alice: "EC2Client") -> None:
    made = new_acl(alice, new_vpc(alice))
    for number in range(1, 41):
        alice.create_network_acl_entry(NetworkAclId=made, **{**SSH, "RuleNumber": number})

    with refused("NetworkAclEntryLimitExceeded"):
        alice.create_network_acl_entry(NetworkAclId=made, **{**SSH, "RuleNumber": 41})
    alice.create_network_acl_entry(NetworkAclId=made, **{**SSH, "Egress": True})


def test_a_subnet_uses_one_acl(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    subnet_id, made = new_subnet(alice, vpc_id), new_acl(alice, vpc_id)
    (default,) = alice.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet_id]}])[
        "NetworkAcls"
    ]
    (association,) = default["Associations"]

    answer = alice.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=made
    )

    assert acl(alice, made)["Associations"] == [
        {"NetworkAclAssociationId": answer["NewAssociationId"], "NetworkAclId": made, "SubnetId": subnet_id}
    ]
    assert acl(alice, default["NetworkAclId"])["Associations"] == []
    with refused("InvalidAssociationID.NotFound"):
        alice.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=made)
    with refused("InvalidParameterValue"):
        alice.replace_network_acl_association(
            AssociationId=answer["NewAssociationId"], NetworkAclId=new_acl(alice, new_vpc(alice))
        )
    with refused("DependencyViolation"):
        alice.delete_network_acl(NetworkAclId=made)
    alice.delete_subnet(SubnetId=subnet_id)
    alice.delete_network_acl(NetworkAclId=made)
    with refused("InvalidNetworkAclID.NotFound"):
        acl(alice, made)


def test_the_default_acl_stays(alice: "EC2Client") -> None:
    (default,) = alice.describe_network_acls(Filters=of_vpc(new_vpc(alice)))["NetworkAcls"]

    with refused("InvalidParameterValue"):
        alice.delete_network_acl(NetworkAclId=default["NetworkAclId"])


def test_acls_are_chosen_by_filters(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    subnet_id = new_subnet(alice, vpc_id)
    made = new_acl(alice, vpc_id, TagSpecifications=tagged("network-acl", tier="web"))
    (association,) = alice.describe_network_acls(Filters=of_vpc(vpc_id))["NetworkAcls"][0]["Associations"]
    association_id = alice.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=made
    )["NewAssociationId"]
    alice.create_network_acl_entry(NetworkAclId=made, **SSH)
    ping: Any = {"Protocol": "1", "Ipv6CidrBlock": "2001:db8::/32", "IcmpTypeCode": {"Type": 8, "Code": 0}}
    alice.create_network_acl_entry(NetworkAclId=made, RuleNumber=7, RuleAction="deny", Egress=True, **ping)

    for name, value in {
        "association.association-id": association_id,
        "association.network-acl-id": made,
        "association.subnet-id": subnet_id,
        "default": "false",
        "entry.cidr": "192.0.2.0/24",
        "entry.icmp.code": "0",
        "entry.icmp.type": "8",
        "entry.ipv6-cidr": "2001:db8::/32",
        "entry.port-range.from": "22",
        "entry.port-range.to": "22",
        "entry.protocol": "tcp",
        "entry.rule-number": "7",
        "network-acl-id": made,
        "tag:tier": "web",
    }.items():
        assert ids(alice, ("vpc-id", vpc_id), (name, value)) == [made], name
    assert len(ids(alice, ("entry.rule-action", "deny"), ("entry.egress", "true"), ("owner-id", "*"))) == 3


def test_a_repeated_acl_is_the_same(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    assert new_acl(alice, vpc_id, ClientToken="once") == new_acl(alice, vpc_id, ClientToken="once")


def test_another_account_s_acl_cannot_be_touched(alice: "EC2Client", bob: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    made, subnet_id = new_acl(alice, vpc_id), new_subnet(alice, vpc_id)
    attempts: list[Any] = [
        lambda: acl(bob, made),
        lambda: bob.delete_network_acl(NetworkAclId=made),
        lambda: bob.create_network_acl_entry(NetworkAclId=made, **SSH),
        lambda: bob.replace_network_acl_entry(NetworkAclId=made, **SSH),
        lambda: bob.delete_network_acl_entry(NetworkAclId=made, RuleNumber=100, Egress=False),
    ]

    for attempt in attempts:
        with refused("InvalidNetworkAclID.NotFound"):
            attempt()
    (used,) = ids(alice, ("association.subnet-id", subnet_id))
    (association,) = acl(alice, used)["Associations"]
    with refused("InvalidAssociationID.NotFound"):
        bob.replace_network_acl_association(
            AssociationId=association["NetworkAclAssociationId"], NetworkAclId=new_acl(bob, new_vpc(bob))
        )
