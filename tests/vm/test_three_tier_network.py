"""A network of three tiers, made by the API and looked at from inside its guests, packet by packet.

Web servers are in a public subnet, applications in a private one with a NAT gateway, data in one whose network ACL lets
in what it must. What passes and what does not is what EC2's documentation says: VPC User Guide, "Example: VPC for web
and database servers", "Control traffic to subnets using network ACLs", "NAT gateways".
"""

import contextlib
import http.server
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.own_address import own_address
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host
from tests.vm.three_tier_cases import CASES, Case

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(240)]

EVERYBODY = "0.0.0.0/0"
TIERS = {"web": "10.20.0.0/24", "app": "10.20.1.0/24", "data": "10.20.2.0/24"}
PORTS = (80, 81, 5432, 5433, 8080, 9090)
SERVES = f"""#!/bin/sh
mkdir /www
imds get meta-data/instance-id > /www/name
for port in {" ".join(map(str, PORTS))}; do httpd -p $port -h /www; done
"""

#: How long a guest waits for what does not come. All of its cases wait at the same time.
PATIENCE_S = 4


@dataclass
class Network:
    """What the tests share."""

    ec2: "EC2Client"
    vpc_id: str
    subnets: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    guests: dict[str, Guest] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    outside: str = ""
    web_table: str = ""
    app_table: str = ""
    gateway: str = ""
    nat_gateway: str = ""

    def ask(self, sender: str, script: str) -> str:
        """Run a script in a guest; those without a public address are reached through web's."""
        web = self.guests["web"]
        if sender == "web":
            return web.run("sh -s", stdin=script)
        options = list(web._options())
        through = ["ssh", *options, f"-oControlPath={web._connection}", "-W", "%h:%p", "root@web"]
        argv = ["ssh", *options, f"-oProxyCommand={' '.join(through)}", f"root@{self.addresses[sender]}", "sh -s"]
        done = subprocess.run(argv, input=script, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def results(self, cases: Sequence[Case]) -> Mapping[Case, bool]:
        """Try cases, all at once; return which got their answer."""
        by_sender = {sender: [case for case in cases if case.sender == sender] for sender in TIERS}

        def of_sender(sender: str) -> dict[Case, bool]:
            tried = by_sender[sender]
            lines = [f"( {self._command(case)} > /tmp/case{number} 2>&1 ) &" for number, case in enumerate(tried)]
            lines.append("wait")
            lines += [f"echo {number} $(cat /tmp/case{number})" for number in range(len(tried))]
            said = dict(line.partition(" ")[::2] for line in self.ask(sender, "\n".join(lines)).splitlines())
            return {case: self._answer(case) in said[str(number)] for number, case in enumerate(tried)}

        with ThreadPoolExecutor() as threads:
            found = threads.map(of_sender, [sender for sender in TIERS if by_sender[sender]])
            return {case: passed for results in found for case, passed in results.items()}

    def passes(self, sender: str, receiver: str, port: int = 0) -> bool:
        """Tell whether a guest gets a page."""
        case = Case(sender, "page", receiver, port, passes=True, why="")
        return self.results([case])[case]

    def _command(self, case: Case) -> str:
        address = self.addresses.get(case.receiver, "")
        match case.check:
            case "page":
                place = self.outside if case.receiver == "outside" else f"{address}:{case.port}"
                return f"timeout {PATIENCE_S} wget -q -O - http://{place}/name"
            case "name":
                return f"timeout {PATIENCE_S} wget -q -O - http://{self.names[case.receiver]}:{case.port}/name"
            case "ssh":
                return f"sleep {PATIENCE_S} | timeout {PATIENCE_S} nc {address} {case.port} | head -c 4"
            case "ping":
                return f"ping -c 1 -W {PATIENCE_S} {address}"
            case "lie":
                spoof = "10.20.0.200"
                return f"ip addr add {spoof}/32 dev lo; ping -c 1 -W {PATIENCE_S} -I {spoof} {address}"
            case "metadata":
                return "imds get meta-data/instance-id"

    def _answer(self, case: Case) -> str:
        match case.check:
            case "page" | "name" | "metadata":
                return "outside" if case.receiver == "outside" else self.guests[case.receiver].instance_id
            case "ssh":
                return "SSH-"
            case "ping" | "lie":
                return "1 packets received"

    def host_gets(self, place: str) -> bool:
        """Tell whether the host gets a page, as somebody in the internet."""
        with contextlib.suppress(urllib.error.URLError, OSError):
            return bool(urllib.request.urlopen(f"http://{place}/name", timeout=2).read())
        return False


class Outside(http.server.BaseHTTPRequestHandler):
    """A web server that is in no VPC."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"outside")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    """A place that guests reach if they reach the outside: this host's own address, not its loopback."""
    address = own_address()
    with http.server.ThreadingHTTPServer((address, 0), Outside) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{address}:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def net(host: Host, outside: str) -> Iterator[Network]:
    """Make the network, with a guest in each tier that serves pages at all ports of the tests."""
    ec2 = host.ec2
    network = Network(ec2, ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"], outside=outside)
    ec2.modify_vpc_attribute(VpcId=network.vpc_id, EnableDnsHostnames={"Value": True})
    for tier, cidr in TIERS.items():
        network.subnets[tier] = ec2.create_subnet(VpcId=network.vpc_id, CidrBlock=cidr)["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=network.subnets["web"], MapPublicIpOnLaunch={"Value": True})
    make_routes(network)
    make_groups(network)
    make_acl(network)
    for tier in TIERS:
        network.guests[tier] = host.launch(
            SubnetId=network.subnets[tier], SecurityGroupIds=[network.groups[tier]], UserData=SERVES
        )
    for tier, guest in network.guests.items():
        shown = guest.describe()
        network.addresses[tier] = shown["PrivateIpAddress"]
        network.names[tier] = shown["PrivateDnsName"]
    for guest in network.guests.values():
        guest.wait_for_console("user-data done", timeout_s=120)
    network.guests["web"].wait_for_ssh()
    yield network
    take_apart(host, network)


def make_routes(network: Network) -> None:
    """Lead web to the internet, and app to a NAT gateway. Data has the main table."""
    ec2 = network.ec2
    network.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc_id)
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=network.subnets["web"], AllocationId=allocation)
    network.nat_gateway = made["NatGateway"].get("NatGatewayId", "")
    tables = {}
    for tier in ("web", "app"):
        tables[tier] = ec2.create_route_table(VpcId=network.vpc_id)["RouteTable"].get("RouteTableId", "")
        ec2.associate_route_table(RouteTableId=tables[tier], SubnetId=network.subnets[tier])
    network.web_table, network.app_table = tables["web"], tables["app"]
    ec2.create_route(RouteTableId=network.web_table, DestinationCidrBlock=EVERYBODY, GatewayId=network.gateway)
    ec2.get_waiter("nat_gateway_available").wait(
        NatGatewayIds=[network.nat_gateway], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    ec2.create_route(RouteTableId=network.app_table, DestinationCidrBlock=EVERYBODY, NatGatewayId=network.nat_gateway)


def make_groups(network: Network) -> None:
    """Make a group for each tier: who is let in, and to which ports."""
    ec2 = network.ec2
    for tier in TIERS:
        made = ec2.create_security_group(GroupName=tier, Description=tier, VpcId=network.vpc_id)
        network.groups[tier] = made["GroupId"]

    def allow(tier: str, protocol: str, first: int, last: int, *, source: str | None = None) -> None:
        permission: dict[str, Any] = {"IpProtocol": protocol, "FromPort": first, "ToPort": last}
        if source is None:
            permission["IpRanges"] = [{"CidrIp": EVERYBODY}]
        else:
            permission["UserIdGroupPairs"] = [{"GroupId": network.groups[source]}]
        ec2.authorize_security_group_ingress(GroupId=network.groups[tier], IpPermissions=[permission])  # type: ignore[list-item]

    for port in (22, 80):
        allow("web", "tcp", port, port)
    for port in (22, 8080):
        allow("app", "tcp", port, port, source="web")
    allow("app", "icmp", 8, -1, source="web")
    allow("data", "tcp", 22, 22)
    allow("data", "tcp", 5432, 5433, source="app")
    allow("data", "icmp", -1, -1, source="app")


def make_acl(network: Network) -> None:
    """Give the data tier a network ACL that knows what may come in, and lets answers out."""
    ec2 = network.ec2
    acl_id = ec2.create_network_acl(VpcId=network.vpc_id)["NetworkAcl"].get("NetworkAclId", "")

    def entry(number: int, verdict: str, cidr: str, first: int, last: int, *, egress: bool = False) -> None:
        ec2.create_network_acl_entry(
            NetworkAclId=acl_id,
            RuleNumber=number,
            RuleAction="allow" if verdict == "allow" else "deny",
            Protocol="6",
            Egress=egress,
            CidrBlock=cidr,
            PortRange={"From": first, "To": last},
        )

    entry(90, "deny", TIERS["app"], 5433, 5433)
    entry(100, "allow", TIERS["web"], 22, 22)
    entry(110, "allow", TIERS["app"], 5000, 9999)
    entry(100, "allow", "10.20.0.0/16", 32768, 65535, egress=True)
    associations = ec2.describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": [network.subnets["data"]]}]
    )["NetworkAcls"][0]["Associations"]
    current = next(each for each in associations if each.get("SubnetId") == network.subnets["data"])
    ec2.replace_network_acl_association(AssociationId=current.get("NetworkAclAssociationId", ""), NetworkAclId=acl_id)


def take_apart(host: Host, network: Network) -> None:
    """Remove the NAT gateway, which costs an address; other modules do not mind the rest."""
    host.clear()
    network.ec2.delete_nat_gateway(NatGatewayId=network.nat_gateway)


@pytest.fixture(scope="module")
def results(net: Network) -> Mapping[Case, bool]:
    """What came of all cases."""
    return net.results(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_packet_passes_or_not(results: Mapping[Case, bool], case: Case) -> None:
    assert results[case] is case.passes, case.why


# From the host, and as the network changes


def public_place(net: Network, port: int) -> str:
    place = net.guests["web"].place(port)
    return f"{place.address}:{place.port}"


def test_the_host_reaches_the_web_at_its_open_port_alone(net: Network) -> None:
    assert net.host_gets(public_place(net, 80))
    assert not net.host_gets(public_place(net, 81))


def test_an_address_in_a_private_subnet_leads_nowhere(net: Network) -> None:
    ec2 = net.ec2
    ec2.authorize_security_group_ingress(
        GroupId=net.groups["app"], IpProtocol="tcp", FromPort=8080, ToPort=8080, CidrIp=EVERYBODY
    )
    allocated = ec2.allocate_address(Domain="vpc")
    associated = ec2.associate_address(AllocationId=allocated["AllocationId"], InstanceId=net.guests["app"].instance_id)
    try:
        assert not net.host_gets(f"{allocated['PublicIp']}:8080")
    finally:
        ec2.disassociate_address(AssociationId=associated["AssociationId"])
        ec2.release_address(AllocationId=allocated["AllocationId"])
        ec2.revoke_security_group_ingress(
            GroupId=net.groups["app"], IpProtocol="tcp", FromPort=8080, ToPort=8080, CidrIp=EVERYBODY
        )


def test_without_its_route_the_private_tier_reaches_nothing_outside(net: Network) -> None:
    net.ec2.delete_route(RouteTableId=net.app_table, DestinationCidrBlock=EVERYBODY)
    cut_off = net.passes("app", "outside")
    net.ec2.create_route(RouteTableId=net.app_table, DestinationCidrBlock=EVERYBODY, NatGatewayId=net.nat_gateway)

    assert (cut_off, net.passes("app", "outside")) == (False, True)


def test_a_machine_that_leaves_a_group_loses_its_rights(net: Network) -> None:
    app = net.guests["app"].instance_id
    # Web's group lets SSH in, so that the guest can still be asked.
    net.ec2.modify_instance_attribute(InstanceId=app, Groups=[net.groups["web"]])
    outsider = net.passes("app", "data", 5432)
    net.ec2.modify_instance_attribute(InstanceId=app, Groups=[net.groups["app"]])

    assert (outsider, net.passes("app", "data", 5432)) == (False, True)


def test_without_its_route_the_public_tier_is_not_reached(net: Network) -> None:
    place = public_place(net, 80)
    net.ec2.delete_route(RouteTableId=net.web_table, DestinationCidrBlock=EVERYBODY)
    cut_off = net.host_gets(place)
    net.ec2.create_route(RouteTableId=net.web_table, DestinationCidrBlock=EVERYBODY, GatewayId=net.gateway)

    wait_for(lambda: net.host_gets(place), "the web is reached again")
    assert not cut_off


def test_all_of_it_is_there_again_after_server_and_agents_were_killed(host: Host, net: Network) -> None:
    web = net.guests["web"]
    web.disconnect()
    host.kill()
    agents = [pid for pid in host.processes() if b"bakehouse.drivers.network.linux.agent" in command_line(pid)]
    for pid in agents:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not set(agents) & set(host.processes()), "the agents are gone")

    assert host.start()
    web.wait_for_ssh()

    found = net.results(CASES)
    assert agents
    assert [str(case) for case in CASES if found[case] is not case.passes] == []


def command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
