"""The argument lists of the programs that a segment starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from bakehouse.drivers.network.linux import name_service, uplink
from bakehouse.ports.network import AMAZON_PROVIDED_DNS, AddressSpec, DhcpSpec, InterfaceSpec, SegmentSpec, SubnetSpec

SEGMENT = SegmentSpec(
    vpc_id="vpc-0",
    cidr="10.0.0.0/16",
    subnets=(
        SubnetSpec(subnet_id="subnet-0", cidr="10.0.1.0/24"),
        SubnetSpec(subnet_id="subnet-1", cidr="10.0.2.0/23"),
    ),
    domain="eu-west-1.compute.internal",
)


INTERFACE = InterfaceSpec(
    interface_id="eni-0",
    vpc_id="vpc-0",
    subnet_id="subnet-0",
    subnet_cidr="10.0.1.0/24",
    mac="02:00:00:00:00:0a",
    private_ip="10.0.1.10",
    public_ip=None,
    group_ids=(),
    host_name="ip-10-0-1-10",
)


def argv(segment: SegmentSpec = SEGMENT) -> list[str]:
    return name_service.command_line("dnsmasq", segment, Path("/files"), user="nobody", group="nogroup")


def test_dhcp_serves_each_subnet_with_its_own_router() -> None:
    assert argv()[-4:] == [
        "--dhcp-range=set:subnet-0,10.0.1.0,static,255.255.255.0,infinite",
        "--dhcp-option=tag:subnet-0,option:router,10.0.1.1",
        "--dhcp-range=set:subnet-1,10.0.2.0,static,255.255.254.0,infinite",
        "--dhcp-option=tag:subnet-1,option:router,10.0.2.1",
    ]


def test_names_are_those_of_the_vpcs_domain() -> None:
    assert {
        "--dhcp-option=option:domain-name,eu-west-1.compute.internal",
        "--local=/eu-west-1.compute.internal/",
        "--synth-domain=eu-west-1.compute.internal,10.0.0.0/16,ip-",
        "--host-record=instance-data.eu-west-1.compute.internal,169.254.169.254",
        "--dhcp-option=option:dns-server,10.0.0.2",
    } <= set(argv())


def test_dhcp_offers_what_its_options_say() -> None:
    options = DhcpSpec(
        domain_name="bread.example",
        domain_name_servers=("10.0.0.53", AMAZON_PROVIDED_DNS),
        ntp_servers=("10.0.0.123", "10.0.1.123"),
        netbios_name_servers=("10.0.0.44",),
        netbios_node_type=2,
    )

    assert {word for word in argv(replace(SEGMENT, dhcp=options)) if word.startswith("--dhcp-option=option")} == {
        "--dhcp-option=option:domain-name,bread.example",
        "--dhcp-option=option:dns-server,10.0.0.53,10.0.0.2",
        "--dhcp-option=option:ntp-server,10.0.0.123,10.0.1.123",
        "--dhcp-option=option:netbios-ns,10.0.0.44",
        "--dhcp-option=option:netbios-nodetype,2",
        "--dhcp-option=option:mtu,1500",
    }


@pytest.mark.parametrize("segment", [replace(SEGMENT, dhcp=DhcpSpec()), replace(SEGMENT, dns_support=False)])
def test_no_resolver_is_offered_where_there_is_none(segment: SegmentSpec) -> None:
    assert "--dhcp-option=option:dns-server" in argv(segment)


def test_a_vpc_without_dns_support_has_no_resolver() -> None:
    words = argv(replace(SEGMENT, dns_support=False))

    assert "--port=0" in words
    assert not [word for word in words if word.startswith(("--server", "--synth-domain", "--local"))]


def test_addresses_of_every_range_have_a_name() -> None:
    names = [word for word in argv(replace(SEGMENT, extra_cidrs=("10.9.0.0/16",))) if word.startswith("--synth-domain")]

    assert names == [
        "--synth-domain=eu-west-1.compute.internal,10.0.0.0/16,ip-",
        "--synth-domain=eu-west-1.compute.internal,10.9.0.0/16,ip-",
    ]


def test_dnsmasq_reads_no_file_of_the_host() -> None:
    assert {"--conf-file=/dev/null", "--no-hosts", "--no-resolv"} <= set(argv())


def test_an_interface_is_a_line() -> None:
    assert name_service.host_line(INTERFACE) == "02:00:00:00:00:0a,10.0.1.10,ip-10-0-1-10,infinite\n"


def test_an_interface_with_ipv6_is_offered_its_first_address() -> None:
    interface = replace(INTERFACE, ipv6_addresses=("2600:1f18:0:1::10", "2600:1f18:0:1::11"))

    assert name_service.host_line(interface) == (
        "02:00:00:00:00:0a,10.0.1.10,[2600:1f18:0:1::10],ip-10-0-1-10,infinite\n"
    )


def test_dual_stack_subnets_have_a_router_that_says_so() -> None:
    subnet = replace(SEGMENT.subnets[0], ipv6_cidr="2600:1f18:0:1::/64")

    assert {
        "--enable-ra",
        "--dhcp-range=set:subnet-0,2600:1f18:0:1::,static,off-link,64,infinite",
        "--dhcp-option=option6:dns-server,[fd00:ec2::253]",
    } <= set(argv(replace(SEGMENT, subnets=(subnet,))))
    assert "--enable-ra" not in argv()


def test_each_address_of_an_interface_has_a_line_of_its_names() -> None:
    further = (
        AddressSpec(private_ip="10.0.1.11", names=("ip-10-0-1-11", "ec2-127-16-0-11.compute-1.bakehouse.internal")),
        AddressSpec(private_ip="10.0.1.12"),
    )
    interface = replace(
        INTERFACE,
        names=("i-0123", "ec2-127-16-0-10.compute-1.bakehouse.internal"),
        secondary_ips=further,
        ipv6_addresses=("2600:1f18::a", "2600:1f18::b"),
        ipv6_names=("i-0123",),
    )

    assert name_service.name_lines(interface, "ec2.internal") == (
        "10.0.1.10 ip-10-0-1-10.ec2.internal i-0123.ec2.internal ec2-127-16-0-10.compute-1.bakehouse.internal\n"
        "10.0.1.11 ip-10-0-1-11.ec2.internal ec2-127-16-0-11.compute-1.bakehouse.internal\n"
        "2600:1f18::a i-0123.ec2.internal\n"
    )


def test_public_names_are_never_asked_of_anybody_outside() -> None:
    assert "--local=/bakehouse.internal/" in argv(replace(SEGMENT, public_domain="bakehouse.internal"))


@pytest.mark.parametrize("rootless", [True, False])
def test_the_way_outside_does_not_lead_to_the_hosts_loopback(*, rootless: bool) -> None:
    words = uplink.command_line("slirp4netns", 77, ready_fd=5, exit_fd=6, rootless=rootless)

    assert "--disable-host-loopback" in words


@pytest.mark.parametrize(
    ("rootless", "expected"),
    [(True, ["77", "ext0"]), (False, ["--netns-type=path", "/proc/77/ns/net", "ext0"])],
)
def test_the_way_outside_is_made_in_the_agents_namespaces(*, rootless: bool, expected: list[str]) -> None:
    words = uplink.command_line("slirp4netns", 77, ready_fd=5, exit_fd=6, rootless=rootless)

    assert words[-len(expected) :] == expected
