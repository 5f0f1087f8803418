"""DHCP options sets as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.networking import new_vpc, tagged
from tests.system.refusals import refused
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

SITE: Any = {"domain-name": ["site.example"], "domain-name-servers": ["10.0.0.5", "AmazonProvidedDNS"]}


def new_options(client: "EC2Client", options: Any, **members: Any) -> str:
    configurations: Any = [{"Key": key, "Values": values} for key, values in options.items()]
    made = client.create_dhcp_options(DhcpConfigurations=configurations, **members)["DhcpOptions"]
    return made["DhcpOptionsId"]


def shown(client: "EC2Client", options_id: str) -> dict[str, list[str]]:
    (options,) = client.describe_dhcp_options(DhcpOptionsIds=[options_id])["DhcpOptions"]
    return {it["Key"]: [value["Value"] for value in it["Values"]] for it in options["DhcpConfigurations"]}


def ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [it["DhcpOptionsId"] for it in client.describe_dhcp_options(Filters=wanted)["DhcpOptions"]]


def of_vpc(client: "EC2Client", vpc_id: str) -> str:
    return client.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["DhcpOptionsId"]


def test_a_region_has_a_default_set_that_its_vpcs_use(shared: RunningServer) -> None:
    client = shared.ec2("options", "eu-west-1")
    (default,) = ids(client)

    assert of_vpc(client, new_vpc(client)) == default
    assert shown(client, default) == {
        "domain-name": ["eu-west-1.compute.internal"],
        "domain-name-servers": ["AmazonProvidedDNS"],
    }


def test_a_set_is_made_given_to_a_vpc_and_deleted(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    made = new_options(alice, SITE)

    alice.associate_dhcp_options(DhcpOptionsId=made, VpcId=vpc_id)

    assert shown(alice, made) == SITE
    assert of_vpc(alice, vpc_id) == made
    with refused("DependencyViolation"):
        alice.delete_dhcp_options(DhcpOptionsId=made)
    alice.associate_dhcp_options(DhcpOptionsId="default", VpcId=vpc_id)
    assert of_vpc(alice, vpc_id) == "default"
    alice.delete_dhcp_options(DhcpOptionsId=made)
    with refused("InvalidDhcpOptionID.NotFound"):
        shown(alice, made)


def test_servers_may_stand_in_one_value(alice: "EC2Client") -> None:
    made = new_options(alice, {"ntp-servers": ["10.0.0.1, 10.0.0.2"], "netbios-node-type": ["2"]})

    assert shown(alice, made) == {"ntp-servers": ["10.0.0.1", "10.0.0.2"], "netbios-node-type": ["2"]}


@pytest.mark.parametrize(
    "options",
    [
        {"colour": ["red"]},
        {"domain-name": []},
        {"domain-name": ["a..example"], "ntp-servers": ["tick"]},
        {"domain-name-servers": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]},
        {"domain-name-servers": ["ns.example"]},
        {"netbios-name-servers": ["fd00::1"]},
        {"netbios-node-type": ["3"]},
        {"domain-name": ["site.example\nserver=10.0.0.9"]},
    ],
)
def test_options_that_cannot_be_are_refused(alice: "EC2Client", options: Any) -> None:
    with refused("InvalidParameterValue"):
        new_options(alice, options)


def test_an_option_given_twice_is_refused(wire: Wire) -> None:
    twice = {f"DhcpConfiguration.{number}.Key": "domain-name" for number in (1, 2)}
    values = {f"DhcpConfiguration.{number}.Value.1": "site.example" for number in (1, 2)}

    assert wire.ask("CreateDhcpOptions", {**twice, **values}).code == "InvalidParameterValue"


def test_sets_are_chosen_by_filters(alice: "EC2Client") -> None:
    made = new_options(alice, SITE, TagSpecifications=tagged("dhcp-options", Name="site"))

    assert ids(alice, ("value", "site.example")) == ids(alice, ("value", "10.0.0.5")) == [made]
    assert ids(alice, ("tag:Name", "site")) == ids(alice, ("dhcp-options-id", made)) == [made]
    assert len(ids(alice, ("key", "domain-name"), ("owner-id", "*"))) == 2


def test_another_account_s_set_cannot_be_touched(alice: "EC2Client", bob: "EC2Client") -> None:
    made, vpc_id = new_options(alice, SITE), new_vpc(bob)

    for attempt in (
        lambda: bob.associate_dhcp_options(DhcpOptionsId=made, VpcId=vpc_id),
        lambda: bob.delete_dhcp_options(DhcpOptionsId=made),
        lambda: shown(bob, made),
    ):
        with refused("InvalidDhcpOptionID.NotFound"):
            attempt()
    with refused("InvalidDhcpOptionsId.Malformed"):
        bob.associate_dhcp_options(DhcpOptionsId="none", VpcId=vpc_id)
    with refused("InvalidVpcID.NotFound"):
        alice.associate_dhcp_options(DhcpOptionsId=made, VpcId=vpc_id)
