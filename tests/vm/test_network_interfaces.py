"""Interfaces and public addresses that come while a guest runs."""

from typing import Any

import pytest
from tests.vm.guest import Guest, Place, banner, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    launched = host.launch()
    launched.wait_for_ssh()
    return launched


@pytest.fixture(scope="module")
def interface(host: Host, guest: Guest) -> Any:
    """A second interface, plugged into the running guest."""
    shown = guest.describe()
    made = host.ec2.create_network_interface(
        SubnetId=shown["SubnetId"], Groups=[group["GroupId"] for group in shown["SecurityGroups"]]
    )["NetworkInterface"]
    host.ec2.attach_network_interface(
        NetworkInterfaceId=made["NetworkInterfaceId"], InstanceId=guest.instance_id, DeviceIndex=1
    )
    return made


def metadata(guest: Guest, interface: Any, name: str) -> str:
    mac = interface["MacAddress"]
    return guest.run(f"imds get meta-data/network/interfaces/macs/{mac}/{name} $(imds token)")


def test_a_guest_sees_an_interface_that_is_plugged_in_and_gets_its_address(guest: Guest, interface: Any) -> None:
    wait_for(
        lambda: interface["PrivateIpAddress"] in guest.run("ip addr show eth1 2> /dev/null || true"),
        "the guest has the second address",
        timeout_s=60,
    )

    assert guest.run("cat /sys/class/net/eth1/address") == interface["MacAddress"]
    assert metadata(guest, interface, "device-number") == "1"
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

    assert guest.run("ls /sys/class/net").split() == ["eth0", "lo"]
