"""Passwords of Windows guests: what they write to their console, encrypted."""

from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.drivers.hypervisor.fake.driver import FakeHypervisor


def write(shop: Shop, instance_id: str, text: str) -> None:
    """Let the guest write to its serial console."""
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    hypervisor.write_console(instance_id, text)


def test_a_linux_guest_has_none(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    answer = shop.ec2.get_password_data(InstanceId=instance_id)

    assert (answer["InstanceId"], answer["PasswordData"]) == (instance_id, "")


def test_a_windows_guests_is_what_it_wrote_last(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    write(shop, instance_id, "<Password>\r\nb2xk\r\n</Password>\r\n<Username>Administrator</Username>\r\n")
    write(shop, instance_id, "<Password>\r\nbmV3\r\nZXI=\r\n</Password>\r\n")

    shop.ec2.get_waiter("password_data_available").wait(InstanceId=instance_id)

    assert shop.ec2.get_password_data(InstanceId=instance_id)["PasswordData"] == "bmV3ZXI="


def test_another_accounts_is_not_found(shop: Shop, shared: RunningServer) -> None:
    with refused("InvalidInstanceID.NotFound"):
        shared.ec2("stranger who wants passwords").get_password_data(InstanceId=shop.launch()["InstanceId"])
