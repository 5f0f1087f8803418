"""What server and agent say to each other arrives as it was meant."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bakehouse.drivers.network.linux import messages
from bakehouse.ports.network import (
    AclRule,
    AddressSpec,
    DhcpSpec,
    FirewallRule,
    GroupSpec,
    InterfaceSpec,
    NatGatewaySpec,
    RouteSpec,
    SegmentSpec,
    SubnetSpec,
)

SEGMENT = SegmentSpec(
    vpc_id="vpc-0",
    cidr="172.31.0.0/16",
    subnets=(
        SubnetSpec(subnet_id="subnet-0", cidr="172.31.0.0/20"),
        SubnetSpec(
            subnet_id="subnet-1",
            cidr="10.1.0.0/24",
            ipv6_cidr="2600:1f18::/64",
            routes=(RouteSpec(destination="0.0.0.0/0", target="nat", target_id="nat-0"),),
            acl=(AclRule(number=100, is_egress=False, allow=True, protocol="-1", cidr="0.0.0.0/0"),),
        ),
    ),
    domain="ec2.internal",
    extra_cidrs=("10.1.0.0/16",),
    ipv6_cidr="2600:1f18::/56",
    dhcp=DhcpSpec(domain_name="bread", domain_name_servers=("10.1.0.9",), netbios_node_type=2),
    nat_gateways=(NatGatewaySpec(nat_gateway_id="nat-0", subnet_id="subnet-0", private_ip="172.31.0.9"),),
)
GROUP = GroupSpec(
    group_id="sg-a",
    vpc_id="vpc-0",
    ingress=(FirewallRule(protocol="tcp", from_port=22, to_port=22, cidr="0.0.0.0/0"),),
    egress=(FirewallRule(protocol="-1", from_port=None, to_port=None, group_id="sg-b"),),
)
INTERFACE = InterfaceSpec(
    interface_id="eni-0",
    vpc_id="vpc-0",
    subnet_id="subnet-0",
    subnet_cidr="172.31.0.0/20",
    mac="02:00:00:00:00:0a",
    private_ip="172.31.0.10",
    public_ip=None,
    group_ids=("sg-a",),
    host_name="ip-172-31-0-10",
    secondary_ips=(AddressSpec(private_ip="172.31.0.20", public_ip="127.16.0.20"),),
    ipv6_addresses=("2600:1f18::10",),
    source_dest_check=False,
    names=("i-0123456789abcdef0",),
)
REQUESTS: tuple[messages.Request, ...] = (
    messages.EnsureSegment(SEGMENT),
    messages.ApplyGroup(GROUP),
    messages.DeleteGroup("sg-a"),
    messages.Plug(INTERFACE),
    messages.Unplug("eni-0"),
    messages.OpenTap("eni-0"),
    messages.OpenMetadata(),
    messages.Dial("eni-0", "172.31.0.10", 22, is_datagram=False),
    messages.HoldUplink(),
    messages.Report(),
    messages.Shutdown(),
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.settimeout(30)
    yield pair
    for end in pair:
        end.close()


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda value: type(value).__name__)
def test_a_call_arrives(ends: tuple[socket.socket, socket.socket], request_: messages.Request) -> None:
    messages.send(ends[0], messages.Call(7, request_))

    assert messages.receive_call(ends[1]) == (messages.Call(7, request_), None)


@pytest.mark.parametrize(
    "answer",
    [
        messages.Answer(1),
        messages.Answer(2, error="no bread"),
        messages.Answer(3, report=messages.SegmentReport(5, True, ("eni-0",), False)),  # noqa: FBT003 - its fields
    ],
)
def test_an_answer_arrives(ends: tuple[socket.socket, socket.socket], answer: messages.Answer) -> None:
    messages.send(ends[0], answer)

    assert messages.receive_answer(ends[1]) == (answer, None)


def test_a_descriptor_arrives_as_another_of_the_same_file(ends: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    messages.send(ends[0], messages.Answer(1), writing)
    received = messages.receive_answer(ends[1])

    assert received is not None
    assert received[1] is not None
    os.write(received[1], b"bread")
    assert os.read(reading, 10) == b"bread"
    for fd in (reading, writing, received[1]):
        os.close(fd)


def test_the_end_of_the_other_side_is_no_message(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].close()

    assert messages.receive_call(ends[1]) is None


def test_a_group_of_a_thousand_rules_is_one_message(ends: tuple[socket.socket, socket.socket]) -> None:
    rule = FirewallRule(protocol="tcp", from_port=10000, to_port=10001, group_id="sg-0123456789abcdef0")
    group = GroupSpec(group_id="sg-0123456789abcdef0", vpc_id="vpc-0", ingress=(rule,) * 1000, egress=())
    messages.send(ends[0], messages.Call(1, messages.ApplyGroup(group)))

    received = messages.receive_call(ends[1])

    assert received is not None
    assert received[0].request == messages.ApplyGroup(group)


def test_what_is_too_large_is_not_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(messages.PacketTooLarge):
        messages.send(ends[0], messages.Answer(1, error=os.urandom(messages.PACKET_BYTES).hex()))


def test_a_vpc_of_many_subnets_is_one_message(ends: tuple[socket.socket, socket.socket]) -> None:
    """As many subnets as a VPC has by default, each with as many routes and entries as it may have."""
    routes = tuple(
        RouteSpec(destination=f"10.{number}.0.0/16", target="nat", target_id="nat-0123456789abcdef0")
        for number in range(50)
    )
    acl = tuple(
        AclRule(
            number=number, is_egress=number % 2 == 0, allow=True, protocol="tcp", cidr="0.0.0.0/0", from_port=number
        )
        for number in range(40)
    )
    subnets = tuple(
        SubnetSpec(subnet_id=f"subnet-{number:017x}", cidr=f"172.31.{number}.0/24", routes=routes, acl=acl)
        for number in range(200)
    )
    request = messages.EnsureSegment(replace(SEGMENT, subnets=subnets))
    messages.send(ends[0], messages.Call(1, request))

    received = messages.receive_call(ends[1])

    assert received is not None
    assert received[0].request == request


@pytest.mark.parametrize(
    "packet", [b"bread", b"\x78bread", b"{}", b"[]", b'{"number":1,"operation":"Eat","request":{}}']
)
def test_nonsense_is_no_call(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        messages.decode_call(packet)
