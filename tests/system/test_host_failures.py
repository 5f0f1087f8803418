"""What clients do when the host fails for once."""

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.system.interfaces import default_subnet, described
from tests.system.networking import fabric_of, new_interface
from tests.system.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def failing(shop: Shop) -> "Iterator[Any]":
    """The fabric, which fails until it is told not to, and at the end of the test."""
    fabric = fabric_of(shop.running)
    yield fabric
    fabric.unavailable = None


def attachment(shop: Shop) -> dict[str, Any]:
    """Return what attaches a free interface to an instance."""
    instance_id = shop.launch(Placement={"AvailabilityZone": "us-east-1a"})["InstanceId"]
    interface = new_interface(shop.ec2, default_subnet(shop.ec2))
    return {"NetworkInterfaceId": interface["NetworkInterfaceId"], "InstanceId": instance_id, "DeviceIndex": 1}


def test_a_network_that_fails_is_told_and_leaves_the_interface_free(shop: Shop, failing: Any) -> None:
    wanted = attachment(shop)
    failing.unavailable = "there is no /dev/net/tun"

    with pytest.raises(ClientError) as error:
        shop.ec2.attach_network_interface(**wanted)

    response = error.value.response
    assert response["Error"]["Code"] == "ServiceUnavailable"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "there is no /dev/net/tun" in response["Error"]["Message"]
    assert "`bakehouse doctor`" in response["Error"]["Message"]
    assert described(shop.ec2, wanted["NetworkInterfaceId"])["Status"] == "available"


def test_a_change_that_the_network_cannot_follow_is_kept_and_made_good(shop: Shop, failing: Any) -> None:
    wanted = attachment(shop)
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    interface_id = shop.describe(wanted["InstanceId"])["NetworkInterfaces"][0]["NetworkInterfaceId"]
    failing.unavailable = "there is no /dev/net/tun"

    with pytest.raises(ClientError) as error:
        shop.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface_id, Groups=[group_id])
    before = failing.interfaces[interface_id].group_ids
    failing.unavailable = None
    shop.running.call(shop.running.server.engine.resume())  # as the next sweep does

    assert error.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert f"The change of '{interface_id}' is written down" in error.value.response["Error"]["Message"]
    assert before != (group_id,)
    assert failing.interfaces[interface_id].group_ids == (group_id,)


def test_a_client_in_its_standard_mode_tries_again(shop: Shop, failing: Any) -> None:
    wanted = attachment(shop)
    key = shop.running.access_key(shop.name)
    client = boto3.client(
        "ec2",
        endpoint_url=shop.running.url,
        region_name="us-east-1",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"mode": "standard", "max_attempts": 2}),
    )
    failing.unavailable = "there is no /dev/net/tun"

    def heal(**_named: object) -> None:
        failing.unavailable = None

    client.meta.events.register("before-parse.ec2", heal)
    answer = client.attach_network_interface(**wanted)

    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert described(shop.ec2, wanted["NetworkInterfaceId"])["Status"] == "in-use"
