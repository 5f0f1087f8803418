"""Interfaces and public addresses that come while a guest runs."""

from typing import Any

import pytest
from tests.vm.guest import Guest, Place, banner, wait_for
from tests.vm.host import GROUP_NAME, Host

from bakehouse.domain.public_names import public_name

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    """A guest that boots with two interfaces, and so without a public address: it is reached by an Elastic IP."""
    subnet_id = host.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group_id = host.ec2.describe_security_groups(GroupNames=[GROUP_NAME])["SecurityGroups"][0]["GroupId"]
    interfaces = [{"DeviceIndex": number, "SubnetId": subnet_id, "Groups": [group_id]} for number in range(2)]
    launched = host.launch(InstanceType="t2.small", NetworkInterfaces=interfaces, SecurityGroupIds=[])
    allocation_id = host.ec2.allocate_address()["AllocationId"]
    primary = launched.describe()["NetworkInterfaces"][0]["NetworkInterfaceId"]
    host.ec2.associate_address(AllocationId=allocation_id, NetworkInterfaceId=primary)
    launched.wait_for_ssh()
    return launched


@pytest.fixture(scope="module")
def interface(host: Host, guest: Guest) -> Any:
    """A third interface, plugged into the running guest."""
    second = guest.describe()["NetworkInterfaces"][1]
    made = host.ec2.create_network_interface(
        SubnetId=second["SubnetId"], Groups=[group["GroupId"] for group in second["Groups"]]
    )["NetworkInterface"]
    host.ec2.attach_network_interface(
        NetworkInterfaceId=made["NetworkInterfaceId"], InstanceId=guest.instance_id, DeviceIndex=2
    )
    return made


def metadata(guest: Guest, interface: Any, name: str) -> str:
    mac = interface["MacAddress"]
    return guest.run(f"imds get meta-data/network/interfaces/macs/{mac}/{name} $(imds token)")


def address_of(guest: Guest, name: str) -> str:
    return guest.run(f"ip -o -4 addr show {name} 2> /dev/null | awk '{{ print $4 }}' | cut -d / -f 1")


def test_a_guest_configures_all_interfaces_that_it_boots_with(guest: Guest) -> None:
    first, second = guest.describe()["NetworkInterfaces"]

    assert guest.run("cat /sys/class/net/eth0/address /sys/class/net/eth1/address").split() == [
        first["MacAddress"],
        second["MacAddress"],
    ]
    wait_for(lambda: address_of(guest, "eth1") == second["PrivateIpAddress"], "the guest has the second address")


def test_a_guest_finds_its_private_address_by_its_public_name(guest: Guest) -> None:
    shown = guest.describe()

    told = guest.run(f"nslookup {public_name(shown['PublicIpAddress'], 'us-east-1')}")

    assert f"Address: {shown['PrivateIpAddress']}" in told.splitlines()
    assert shown["PublicDnsName"] == guest.run("imds get meta-data/public-hostname $(imds token)")


def test_a_guest_sees_an_interface_that_is_plugged_in_and_gets_its_address(guest: Guest, interface: Any) -> None:
    wait_for(lambda: address_of(guest, "eth2") == interface["PrivateIpAddress"], "the guest has the third address")

    assert guest.run("cat /sys/class/net/eth2/address") == interface["MacAddress"]
    assert metadata(guest, interface, "device-number") == "2"
    assert metadata(guest, interface, "local-ipv4s") == interface["PrivateIpAddress"]


def test_an_elastic_ip_leads_to_it_at_once(host: Host, guest: Guest, interface: Any) -> None:
    address = host.ec2.allocate_address()
    port = guest.place(22).port

    host.ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=interface["NetworkInterfaceId"])

    wait_for(
        lambda: banner(Place(address["PublicIp"], port)).startswith(b"SSH-"), "the guest answers there", timeout_s=60
    )
    assert metadata(guest, interface, "public-ipv4s") == address["PublicIp"]


def test_a_guest_lets_go_of_an_interface(host: Host, guest: Guest, interface: Any) -> None:
    (shown,) = host.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface["NetworkInterfaceId"]])[
        "NetworkInterfaces"
    ]

    host.ec2.detach_network_interface(AttachmentId=shown["Attachment"]["AttachmentId"])

    assert guest.run("ls /sys/class/net").split() == ["eth0", "eth1", "lo"]
