"""What VPCs may be connected by on EC2 and are not here, and who may use their groups, as boto3 sees it."""

from typing import TYPE_CHECKING, Any

from tests.system.networking import new_vpc, tagged
from tests.system.refusals import refused

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def test_there_are_no_endpoints_and_the_refusal_says_why(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    assert alice.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["VpcEndpoints"] == []
    assert alice.describe_vpc_endpoint_services()["ServiceNames"] == []
    with refused("UnsupportedOperation"):
        alice.create_vpc_endpoint(VpcId=vpc_id, ServiceName="com.amazonaws.us-east-1.s3", VpcEndpointType="Gateway")
    with refused("InvalidVpcEndpointId.NotFound"):
        alice.describe_vpc_endpoints(VpcEndpointIds=["vpce-0123456789abcdef0"])
    with refused("InvalidVpcEndpointId.Malformed"):
        alice.describe_vpc_endpoints(VpcEndpointIds=["s3"])
    with refused("InvalidServiceName"):
        alice.describe_vpc_endpoint_services(ServiceNames=["com.amazonaws.us-east-1.s3"])
    with refused("InvalidParameterValue"):
        alice.describe_vpc_endpoints(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_there_are_no_vpn_gateways_and_no_links_to_ec2_classic(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, TagSpecifications=tagged("vpc", Name="web"))
    unlinked: Any = [{"Name": "is-classic-link-enabled", "Values": ["false"]}, {"Name": "tag:Name", "Values": ["web"]}]

    assert alice.describe_vpn_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc_id]}])["VpnGateways"] == []
    (link,) = alice.describe_vpc_classic_link(Filters=unlinked)["Vpcs"]
    assert (link["VpcId"], link["ClassicLinkEnabled"]) == (vpc_id, False)
    assert alice.describe_vpc_classic_link_dns_support(VpcIds=[vpc_id])["Vpcs"] == [
        {"VpcId": vpc_id, "ClassicLinkDnsSupported": False}
    ]
    with refused("InvalidVpnGatewayID.NotFound"):
        alice.describe_vpn_gateways(VpnGatewayIds=["vgw-0123456789abcdef0"])


def test_no_rule_names_a_group_of_another_vpc(alice: "EC2Client", bob: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    group_id = alice.create_security_group(GroupName="web", Description="d", VpcId=vpc_id)["GroupId"]

    assert alice.describe_stale_security_groups(VpcId=vpc_id)["StaleSecurityGroupSet"] == []
    assert alice.describe_security_group_references(GroupId=[group_id])["SecurityGroupReferenceSet"] == []
    with refused("InvalidVpcID.NotFound"):
        bob.describe_stale_security_groups(VpcId=vpc_id)
    with refused("InvalidGroup.NotFound"):
        bob.describe_security_group_references(GroupId=[group_id])


def test_a_vpc_may_use_its_own_groups(alice: "EC2Client", bob: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    made = alice.create_security_group(
        GroupName="web", Description="d", VpcId=vpc_id, TagSpecifications=tagged("security-group", tier="web")
    )

    def found(*filters: tuple[str, str]) -> list[str]:
        wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
        return [
            it["GroupId"]
            for it in alice.get_security_groups_for_vpc(VpcId=vpc_id, Filters=wanted)["SecurityGroupForVpcs"]
        ]

    assert len(found()) == 2
    assert found(("group-name", "web")) == found(("tag:tier", "web")) == [made["GroupId"]]
    assert found(("description", "d"), ("group-id", made["GroupId"]), ("primary-vpc-id", vpc_id)) == [made["GroupId"]]
    with refused("InvalidVpcID.NotFound"):
        bob.get_security_groups_for_vpc(VpcId=vpc_id)


def test_a_group_of_any_vpc_stays_while_something_needs_it(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    first, second = (
        alice.create_security_group(GroupName=name, Description="d", VpcId=vpc_id)["GroupId"] for name in ("a", "b")
    )
    peer: Any = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": second}]}]
    alice.authorize_security_group_ingress(GroupId=first, IpPermissions=peer)

    with refused("DependencyViolation"):
        alice.delete_security_group(GroupId=second)
    alice.delete_security_group(GroupId=first)
    alice.delete_security_group(GroupId=second)
