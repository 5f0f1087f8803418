"""Security groups and the metadata service, as guests and their host run into them.

A listener is busybox' web server; who may reach it is what its group says at that moment.
"""

import os
import socket
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.vm.guest import Guest
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import IpPermissionTypeDef

pytestmark = [pytest.mark.vm, pytest.mark.timeout(180)]

WEB = 8080
EVERYBODY = "0.0.0.0/0"
SERVES_WEB = f"#!/bin/sh\nmkdir /www; hostname > /www/name; httpd -p {WEB} -h /www\n"
METADATA = "http://169.254.169.254/latest/"

#: A rule is in force when the call that changed it returns; this is what a connection may take.
AT_ONCE_S = 2


@pytest.fixture(scope="module")
def groups(host: Host) -> dict[str, str]:
    """Make a group for each guest, open for SSH."""
    made = {}
    for name in ("server", "friend", "stranger"):
        made[name] = host.ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
        host.ec2.authorize_security_group_ingress(
            GroupId=made[name], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=EVERYBODY
        )
    return made


@pytest.fixture(scope="module")
def guests(host: Host, groups: dict[str, str]) -> dict[str, Guest]:
    """Launch a guest for each group; only the stranger may ask the metadata service without a token."""
    launched = {
        name: host.launch(
            SecurityGroupIds=[group_id],
            UserData=SERVES_WEB,
            MetadataOptions={"HttpTokens": "optional" if name == "stranger" else "required"},
        )
        for name, group_id in groups.items()
    }
    for guest in launched.values():
        guest.wait_for_ssh()
        guest.wait_for_console("user-data done")
    return launched


def web_rule(**source: object) -> "IpPermissionTypeDef":
    rule: dict[str, object] = {"IpProtocol": "tcp", "FromPort": WEB, "ToPort": WEB, **source}
    return rule  # type: ignore[return-value] # a plain dict is what boto3 takes


FROM_EVERYBODY = web_rule(IpRanges=[{"CidrIp": EVERYBODY}])


def answers_host(guest: Guest) -> bool:
    """Tell whether the host gets a page, by the public address."""
    place = guest.place(WEB)
    try:
        with urllib.request.urlopen(f"http://{place.address}:{place.port}/name", timeout=AT_ONCE_S) as page:
            return bool(page.read())
    except (urllib.error.URLError, OSError):
        return False


def answers_guest(server: Guest, client: Guest) -> bool:
    """Tell whether another guest gets a page, by the private address."""
    url = f"http://{server.describe()['PrivateIpAddress']}:{WEB}/name"
    # Not wget's own -T: Debian's static busybox dies of it.
    return client.try_to_run(f"timeout {AT_ONCE_S} wget -q -O - {url}").returncode == 0


# Ports


def test_a_port_that_no_group_opens_is_closed_to_the_host(guests: dict[str, Guest]) -> None:
    assert not answers_host(guests["server"])


@pytest.mark.skipif(os.geteuid() != 0, reason="without root a port that is not open has no listener: refused")
def test_as_root_a_packet_to_a_closed_port_is_dropped(guests: dict[str, Guest]) -> None:
    place = guests["server"].place(WEB)

    with pytest.raises(TimeoutError):
        socket.create_connection((place.address, place.port), timeout=1)


def test_a_rule_works_on_a_running_instance_when_the_call_returns(
    guests: dict[str, Guest], groups: dict[str, str], ec2: "EC2Client"
) -> None:
    ec2.authorize_security_group_ingress(GroupId=groups["server"], IpPermissions=[FROM_EVERYBODY])

    assert answers_host(guests["server"])


def test_a_revoked_rule_is_gone_when_the_call_returns(
    guests: dict[str, Guest], groups: dict[str, str], ec2: "EC2Client"
) -> None:
    ec2.revoke_security_group_ingress(GroupId=groups["server"], IpPermissions=[FROM_EVERYBODY])

    assert not answers_host(guests["server"])


def test_groups_given_to_a_running_instance_work_when_the_call_returns(
    guests: dict[str, Guest], groups: dict[str, str], ec2: "EC2Client"
) -> None:
    opened = ec2.create_security_group(GroupName="opened", Description="web")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=opened, IpPermissions=[FROM_EVERYBODY])
    instance_id = guests["server"].instance_id

    ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[groups["server"], opened])
    assert answers_host(guests["server"])

    ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[groups["server"]])
    assert not answers_host(guests["server"])


def test_a_referenced_group_lets_its_members_in_and_nobody_else(
    guests: dict[str, Guest], groups: dict[str, str], ec2: "EC2Client"
) -> None:
    server, friend, stranger = guests["server"], guests["friend"], guests["stranger"]
    assert not answers_guest(server, friend)
    from_friends = web_rule(UserIdGroupPairs=[{"GroupId": groups["friend"]}])

    ec2.authorize_security_group_ingress(GroupId=groups["server"], IpPermissions=[from_friends])

    assert answers_guest(server, friend)
    assert not answers_guest(server, stranger)
    assert not answers_guest(friend, server)
    assert not answers_host(server)

    ec2.revoke_security_group_ingress(GroupId=groups["server"], IpPermissions=[from_friends])
    assert not answers_guest(server, friend)


def test_an_egress_rule_that_is_revoked_shuts_the_guest_in(
    guests: dict[str, Guest], groups: dict[str, str], ec2: "EC2Client"
) -> None:
    ec2.authorize_security_group_ingress(GroupId=groups["server"], IpPermissions=[FROM_EVERYBODY])
    assert answers_guest(guests["server"], guests["friend"])

    everything: IpPermissionTypeDef = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": EVERYBODY}]}
    ec2.revoke_security_group_egress(GroupId=groups["friend"], IpPermissions=[everything])
    assert not answers_guest(guests["server"], guests["friend"])

    ec2.authorize_security_group_egress(GroupId=groups["friend"], IpPermissions=[everything])
    assert answers_guest(guests["server"], guests["friend"])


# Addresses that are not one's own


def test_a_packet_with_anothers_source_address_does_not_arrive(
    guests: dict[str, Guest], groups: dict[str, str], ec2: "EC2Client"
) -> None:
    ping: IpPermissionTypeDef = {
        "IpProtocol": "icmp",
        "FromPort": -1,
        "ToPort": -1,
        "IpRanges": [{"CidrIp": EVERYBODY}],
    }
    ec2.authorize_security_group_ingress(GroupId=groups["server"], IpPermissions=[ping])
    server, friend = guests["server"], guests["friend"]
    target = server.describe()["PrivateIpAddress"]
    before = pings(server)
    friend.run(f"ping -c 1 -W 5 {target}")
    assert pings(server) == before + 1

    for address in (guests["stranger"].describe()["PrivateIpAddress"], "172.31.0.250", "8.8.8.8"):
        friend.run(f"ip addr add {address}/32 dev eth0")
        friend.try_to_run(f"ping -c 2 -W 1 -I {address} {target}")
        friend.run(f"ip addr del {address}/32 dev eth0")

    assert pings(server) == before + 1


def pings(guest: Guest) -> int:
    """Return how many ICMP echo requests have arrived; the 9th number of the second line."""
    return int(guest.run("awk '/^Icmp:/ { line[++n] = $0 } END { split(line[2], f); print f[10] }' /proc/net/snmp"))


def test_the_metadata_of_another_instance_cannot_be_had_by_its_address(guests: dict[str, Guest]) -> None:
    # The stranger's own is there for the asking, without a token.
    friend, other = guests["friend"], guests["stranger"].describe()["PrivateIpAddress"]
    friend.run(f"ip addr add {other}/32 dev eth0")
    friend.run(f"ip route add 169.254.169.254/32 via 172.31.0.1 dev eth0 src {other} onlink")

    asked = friend.try_to_run(f"timeout 3 wget -S -O - {METADATA}meta-data/instance-id")

    friend.run(f"ip route del 169.254.169.254/32; ip addr del {other}/32 dev eth0")
    assert asked.returncode != 0
    assert "HTTP" not in asked.stdout + asked.stderr
    assert friend.run("imds get meta-data/instance-id") == friend.instance_id


def test_the_metadata_of_another_instance_cannot_be_had_by_a_header(guests: dict[str, Guest]) -> None:
    stranger, other = guests["stranger"], guests["server"].describe()["PrivateIpAddress"]

    said = stranger.run(f"wget -q -O - --header 'X-Forwarded-For: {other}' {METADATA}meta-data/instance-id; true")

    assert said in ("", stranger.instance_id)


# The metadata service's options


def answer_without_token(guest: Guest) -> str:
    """Return the status line of an IMDSv1 request."""
    said = guest.run(f"wget -S -O /dev/null {METADATA}meta-data/instance-id 2>&1; true")
    return next((line.strip() for line in said.splitlines() if "HTTP/1." in line), said)


def test_where_tokens_are_required_a_request_without_one_is_unauthorized(guests: dict[str, Guest]) -> None:
    assert " 401 " in answer_without_token(guests["server"]) + " "


def test_where_tokens_are_optional_a_request_without_one_is_answered(guests: dict[str, Guest]) -> None:
    assert " 200 " in answer_without_token(guests["stranger"]) + " "


def test_a_guest_with_metadata_switched_off_is_forbidden_it(host: Host) -> None:
    guest = host.launch(MetadataOptions={"HttpEndpoint": "disabled"})
    guest.wait_for_console("login:", timeout_s=120)

    # No metadata, no key: somebody at the console asks.
    type_on_console(guest, "root\n")
    guest.wait_for_console("~ # ")
    type_on_console(guest, f"wget -S -O /dev/null {METADATA}meta-data/\n")

    guest.wait_for_console("403")


def type_on_console(guest: Guest, text: str) -> None:
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(guest.home / "machines" / guest.instance_id / "console.sock"))
        for character in text:
            console.sendall(character.encode())
            time.sleep(0.01)  # a UART's buffer holds 16 bytes
