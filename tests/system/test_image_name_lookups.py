"""Look-ups by name that a stranger's image can answer: they work as on EC2, and the server's log says what to do."""

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def warnings_of(client: "EC2Client", *requests: dict[str, Any]) -> Sequence[MutableMapping[str, Any]]:
    with structlog.testing.capture_logs() as logs:
        for request in requests:
            client.describe_images(**request)
    return [entry for entry in logs if entry["log_level"] == "warning"]


def named(*patterns: str, **members: Any) -> dict[str, Any]:
    return {"Filters": [{"Name": "name", "Values": list(patterns)}], **members}


def test_a_look_up_by_name_alone_is_warned_of_with_what_to_do(alice: "EC2Client") -> None:
    (warning,) = warnings_of(alice, named("debian-12-*"))

    assert (warning["name"], warning["region"]) == ("debian-12-*", "us-east-1")
    assert "Owners=self" in warning["hint"]
    assert "Allowed AMIs" in warning["hint"]


def test_a_strangers_look_alike_is_found_by_name_and_not_among_ones_own(
    shop: Shop, shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    stranger: Any = shared.ec2(f"stranger of {request.node.nodeid}")
    volume_id = stranger.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    snapshot_id = stranger.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    devices = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}}]
    fake_id = stranger.register_image(Name="test", BlockDeviceMappings=devices)["ImageId"]
    stranger.modify_image_attribute(ImageId=fake_id, LaunchPermission={"Add": [{"Group": "all"}]})

    def found(**members: Any) -> set[str]:
        return {image["ImageId"] for image in shop.ec2.describe_images(**named("test", **members))["Images"]}

    assert found() >= {shop.image_id, fake_id}
    assert found(Owners=["self"]) == {shop.image_id}
    stranger.deregister_image(ImageId=fake_id)


def test_each_pattern_is_warned_of_once(alice: "EC2Client") -> None:
    warnings = warnings_of(alice, named("a*"), named("a*", "b*"), named("b*"))

    assert [warning["name"] for warning in warnings] == ["a*", "b*"]


def test_each_account_is_warned(alice: "EC2Client", bob: "EC2Client") -> None:
    assert len(warnings_of(alice, named("a*"))) == len(warnings_of(bob, named("a*"))) == 1


@pytest.mark.parametrize(
    "request_members",
    [
        named("a*", Owners=["self"]),
        {"Filters": [{"Name": "name", "Values": ["a*"]}, {"Name": "owner-id", "Values": ["111122223333"]}]},
        {"Filters": [{"Name": "state", "Values": ["available"]}]},
        {},
    ],
    ids=["owners", "owner filter", "no name", "nothing"],
)
def test_a_look_up_that_says_whose_images_it_means_is_not_warned_of(
    alice: "EC2Client", request_members: dict[str, Any]
) -> None:
    assert warnings_of(alice, request_members) == []


def test_a_look_up_that_is_refused_is_not_warned_of(alice: "EC2Client") -> None:
    with structlog.testing.capture_logs() as logs, refused("FilterLimitExceeded"):
        alice.describe_images(**named(*(f"n{number}" for number in range(201))))

    assert [entry for entry in logs if entry["log_level"] == "warning"] == []
