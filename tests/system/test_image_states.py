"""Images that are disabled, deprecated, protected from deregistration, or given back, as boto3 sees them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.sharing import Clock, account_of, listed, registered, share, unshare
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def clock(running: RunningServer) -> Clock:
    """The clock of the test's own server."""
    return Clock(running)


@pytest.fixture
def own(running: RunningServer, clock: Clock, tmp_path: Path) -> Shop:
    """A shop on a server whose clock can be moved."""
    assert clock is not None
    disk = tmp_path / "own.raw"
    disk.write_bytes(bytes(1024**2))
    return Shop(running, "owner", disk)


def described(ec2: "EC2Client", image_id: str, **members: Any) -> dict[str, Any]:
    (image,) = ec2.describe_images(ImageIds=[image_id], **members)["Images"]
    return dict(image)


def moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


# Disabled


def test_a_disabled_image_is_shown_to_its_owner_who_asks_for_it(shop: Shop) -> None:
    assert shop.ec2.disable_image(ImageId=shop.image_id)["Return"] is True

    assert described(shop.ec2, shop.image_id, IncludeDisabled=True)["State"] == "disabled"
    assert shop.image_id in listed(shop.ec2, Owners=["self"], IncludeDisabled=True)
    assert shop.image_id not in listed(shop.ec2, Owners=["self"])
    assert shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"] == []


def test_the_filter_for_disabled_images_finds_them_when_they_are_included(shop: Shop) -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)
    state: Any = [{"Name": "state", "Values": ["disabled"]}]

    assert listed(shop.ec2, Owners=["self"], Filters=state, IncludeDisabled=True) == {shop.image_id}
    assert listed(shop.ec2, Owners=["self"], Filters=state) == set()


def test_a_disabled_image_is_not_launched(shop: Shop) -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    with refused("InvalidAMIID.Unavailable"):
        shop.launch()


def test_an_instance_of_a_disabled_image_stops_and_starts(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.disable_image(ImageId=shop.image_id)

    shop.stop(instance_id)
    shop.ec2.start_instances(InstanceIds=[instance_id])

    assert shop.describe(instance_id)["State"]["Name"] == "running"


@pytest.mark.parametrize("everybody", [False, True])
def test_a_disabled_image_is_taken_from_those_that_it_was_shared_with_for_good(
    shop: Shop, bob: "EC2Client", *, everybody: bool
) -> None:
    share(shop.ec2, shop.image_id, "all" if everybody else account_of(bob))
    assert shop.image_id in listed(bob)

    shop.ec2.disable_image(ImageId=shop.image_id)

    assert shop.image_id not in listed(bob, IncludeDisabled=True)
    with refused("InvalidAMIID.NotFound"):
        bob.describe_images(ImageIds=[shop.image_id], IncludeDisabled=True)
    shop.ec2.enable_image(ImageId=shop.image_id)
    assert shop.image_id not in listed(bob)
    attribute = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")
    assert attribute["LaunchPermissions"] == []


def test_a_disabled_image_is_shared_with_nobody(shop: Shop, bob: "EC2Client") -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    for launcher in (account_of(bob), "all"):
        with refused("InvalidAMIID.Unavailable"):
            share(shop.ec2, shop.image_id, launcher)
    unshare(shop.ec2, shop.image_id, account_of(bob))


def test_an_enabled_image_is_launched_and_shared_again(shop: Shop, bob: "EC2Client") -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    assert shop.ec2.enable_image(ImageId=shop.image_id)["Return"] is True

    assert shop.launch()["State"]["Name"] == "running"
    share(shop.ec2, shop.image_id, account_of(bob))
    assert described(bob, shop.image_id)["State"] == "available"


def test_what_is_asked_for_twice_changes_nothing(shop: Shop) -> None:
    shop.ec2.enable_image(ImageId=shop.image_id)
    shop.ec2.disable_image(ImageId=shop.image_id)
    shop.ec2.disable_image(ImageId=shop.image_id)

    assert described(shop.ec2, shop.image_id, IncludeDisabled=True)["State"] == "disabled"


def test_a_snapshot_of_a_disabled_image_is_in_use(shop: Shop) -> None:
    (device,) = described(shop.ec2, shop.image_id)["BlockDeviceMappings"]
    shop.ec2.disable_image(ImageId=shop.image_id)

    with refused("InvalidSnapshot.InUse"):
        shop.ec2.delete_snapshot(SnapshotId=device["Ebs"]["SnapshotId"])


def test_a_disabled_image_is_deregistered(shop: Shop) -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    shop.ec2.deregister_image(ImageId=shop.image_id)

    assert shop.image_id not in listed(shop.ec2, Owners=["self"], IncludeDisabled=True)


# Deprecated


def test_a_deprecation_is_shown_rounded_to_the_nearest_minute(shop: Shop) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)

    for given, shown in [
        (tomorrow, tomorrow),
        (tomorrow + timedelta(seconds=29), tomorrow),
        (tomorrow + timedelta(seconds=30), tomorrow + timedelta(minutes=1)),
    ]:
        shop.ec2.enable_image_deprecation(ImageId=shop.image_id, DeprecateAt=given)
        assert described(shop.ec2, shop.image_id)["DeprecationTime"] == moment(shown)


def test_an_image_without_a_deprecation_shows_none(shop: Shop) -> None:
    assert "DeprecationTime" not in described(shop.ec2, shop.image_id)

    shop.ec2.enable_image_deprecation(ImageId=shop.image_id, DeprecateAt=datetime.now(UTC) + timedelta(days=1))
    assert shop.ec2.disable_image_deprecation(ImageId=shop.image_id)["Return"] is True

    assert "DeprecationTime" not in described(shop.ec2, shop.image_id)


@pytest.mark.parametrize(
    "from_now",
    [timedelta(minutes=-1), timedelta(days=10 * 366)],
    ids=["past", "more than ten years"],
)
def test_a_deprecation_too_early_or_too_late_is_refused(shop: Shop, from_now: timedelta) -> None:
    with refused("InvalidParameterValue"):
        shop.ec2.enable_image_deprecation(ImageId=shop.image_id, DeprecateAt=datetime.now(UTC) + from_now)


def test_others_find_a_deprecated_image_when_they_ask_for_it_and_launch_it(own: Shop, clock: Clock) -> None:
    bob = own.running.ec2("bob")
    share(own.ec2, own.image_id, account_of(bob))
    own.ec2.enable_image_deprecation(ImageId=own.image_id, DeprecateAt=clock() + timedelta(hours=1))
    assert own.image_id in listed(bob)

    clock.advance(hours=1, minutes=1)

    assert own.image_id not in listed(bob)
    assert own.image_id in listed(bob, IncludeDeprecated=True)
    assert described(bob, own.image_id)["DeprecationTime"] < moment(clock())
    assert own.image_id in listed(own.ec2)
    assert bob.run_instances(ImageId=own.image_id, MinCount=1, MaxCount=1)["Instances"]


def test_a_deprecated_image_is_found_again_once_that_is_cancelled(own: Shop, clock: Clock) -> None:
    bob = own.running.ec2("bob")
    share(own.ec2, own.image_id, account_of(bob))
    own.ec2.enable_image_deprecation(ImageId=own.image_id, DeprecateAt=clock() + timedelta(hours=1))
    clock.advance(hours=2)

    own.ec2.disable_image_deprecation(ImageId=own.image_id)

    assert own.image_id in listed(bob)


def test_a_public_image_is_deprecated_two_years_after_its_making(shop: Shop) -> None:
    share(shop.ec2, shop.image_id, "all")

    image = described(shop.ec2, shop.image_id)
    assert int(image["DeprecationTime"][:4]) == int(image["CreationDate"][:4]) + 2
    with refused("OperationNotPermitted"):
        shop.ec2.disable_image_deprecation(ImageId=shop.image_id)
    with refused("InvalidParameterValue"):
        shop.ec2.enable_image_deprecation(
            ImageId=shop.image_id, DeprecateAt=datetime.now(UTC) + timedelta(days=2 * 366)
        )


def test_a_public_image_may_be_deprecated_earlier_but_not_later(shop: Shop) -> None:
    soon = (datetime.now(UTC) + timedelta(days=30)).replace(second=0, microsecond=0)
    shop.ec2.enable_image_deprecation(ImageId=shop.image_id, DeprecateAt=soon)

    share(shop.ec2, shop.image_id, "all")

    assert described(shop.ec2, shop.image_id)["DeprecationTime"] == moment(soon)
    later = soon + timedelta(days=1)
    shop.ec2.enable_image_deprecation(ImageId=shop.image_id, DeprecateAt=later)
    assert described(shop.ec2, shop.image_id)["DeprecationTime"] == moment(later)


def test_the_deprecation_of_an_image_that_is_private_again_is_cancelled(shop: Shop) -> None:
    share(shop.ec2, shop.image_id, "all")
    unshare(shop.ec2, shop.image_id, "all")

    shop.ec2.disable_image_deprecation(ImageId=shop.image_id)

    assert "DeprecationTime" not in described(shop.ec2, shop.image_id)


# Protected from deregistration


def protection(shop: Shop) -> str:
    """Return the protection of the shop's image, which both operations show alike."""
    attribute = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="deregistrationProtection")
    shown = described(shop.ec2, shop.image_id)["DeregistrationProtection"]
    assert attribute["DeregistrationProtection"] == {"Value": shown}
    return str(shown)


def test_a_protected_image_is_not_deregistered(shop: Shop) -> None:
    assert protection(shop) == "disabled"

    assert (
        shop.ec2.enable_image_deregistration_protection(ImageId=shop.image_id)["Return"] == "enabled-without-cooldown"
    )

    assert protection(shop) == "enabled-without-cooldown"
    with refused("OperationNotPermitted"):
        shop.ec2.deregister_image(ImageId=shop.image_id)
    assert shop.image_id in listed(shop.ec2, Owners=["self"])


def test_an_image_that_is_protected_no_more_is_deregistered(shop: Shop) -> None:
    shop.ec2.enable_image_deregistration_protection(ImageId=shop.image_id)

    assert shop.ec2.disable_image_deregistration_protection(ImageId=shop.image_id)["Return"] == "disabled"

    assert protection(shop) == "disabled"
    shop.ec2.deregister_image(ImageId=shop.image_id)


def test_a_cooldown_protects_for_another_day(own: Shop, clock: Clock) -> None:
    enabled = own.ec2.enable_image_deregistration_protection(ImageId=own.image_id, WithCooldown=True)
    assert enabled["Return"] == protection(own) == "enabled-with-cooldown"
    own.ec2.disable_image_deregistration_protection(ImageId=own.image_id)

    clock.advance(hours=23, minutes=59)
    assert protection(own).startswith("disabled after 20")
    with refused("OperationNotPermitted"):
        own.ec2.deregister_image(ImageId=own.image_id)

    clock.advance(minutes=2)
    assert protection(own) == "disabled"
    own.ec2.deregister_image(ImageId=own.image_id)


def test_to_end_a_protection_twice_does_not_prolong_its_cooldown(own: Shop, clock: Clock) -> None:
    own.ec2.enable_image_deregistration_protection(ImageId=own.image_id, WithCooldown=True)
    own.ec2.disable_image_deregistration_protection(ImageId=own.image_id)
    shown = protection(own)

    clock.advance(hours=1)
    own.ec2.disable_image_deregistration_protection(ImageId=own.image_id)

    assert protection(own) == shown


def test_a_protected_image_is_disabled_and_its_copy_is_not_protected(shop: Shop) -> None:
    shop.ec2.enable_image_deregistration_protection(ImageId=shop.image_id)
    copy_id = shop.ec2.copy_image(Name="copy", SourceImageId=shop.image_id, SourceRegion="us-east-1")["ImageId"]

    shop.ec2.disable_image(ImageId=shop.image_id)

    assert described(shop.ec2, shop.image_id, IncludeDisabled=True)["State"] == "disabled"
    assert described(shop.ec2, copy_id)["DeregistrationProtection"] == "disabled"


# Given back


def test_a_shared_image_is_given_back(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_of(bob), account_of(carol))

    assert bob.cancel_image_launch_permission(ImageId=shop.image_id)["Return"] is True

    assert shop.image_id not in listed(bob)
    assert shop.image_id in listed(carol)
    attribute = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")
    assert attribute["LaunchPermissions"] == [{"UserId": account_of(carol)}]


def test_an_image_that_was_given_back_may_be_shared_again(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_of(bob))
    bob.cancel_image_launch_permission(ImageId=shop.image_id)

    share(shop.ec2, shop.image_id, account_of(bob))

    assert shop.image_id in listed(bob)


def test_only_a_permission_of_the_account_itself_is_given_back(shop: Shop, bob: "EC2Client") -> None:
    with refused("InvalidAMIID.NotFound"):
        bob.cancel_image_launch_permission(ImageId=shop.image_id)
    with refused("AuthFailure", status=403):
        shop.ec2.cancel_image_launch_permission(ImageId=shop.image_id)

    share(shop.ec2, shop.image_id, "all")

    with refused("AuthFailure", status=403):
        bob.cancel_image_launch_permission(ImageId=shop.image_id)


# Account boundaries

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("disable_image", {}),
    ("enable_image", {}),
    ("enable_image_deprecation", {"DeprecateAt": datetime(2030, 1, 1, tzinfo=UTC)}),
    ("disable_image_deprecation", {}),
    ("enable_image_deregistration_protection", {}),
    ("disable_image_deregistration_protection", {}),
]


@pytest.mark.parametrize(("change", "members"), CHANGES)
def test_a_stranger_changes_no_image(shop: Shop, bob: "EC2Client", change: str, members: dict[str, Any]) -> None:
    ask = getattr(bob, change)
    with refused("InvalidAMIID.NotFound"):
        ask(ImageId=shop.image_id, **members)

    share(shop.ec2, shop.image_id, account_of(bob))

    with refused("AuthFailure", status=403):
        ask(ImageId=shop.image_id, **members)


@pytest.mark.parametrize(("change", "members"), CHANGES)
def test_an_image_that_is_none_is_refused(alice: "EC2Client", change: str, members: dict[str, Any]) -> None:
    ask = getattr(alice, change)
    with refused("InvalidAMIID.NotFound"):
        ask(ImageId="ami-0123456789abcdef0", **members)
    with refused("InvalidAMIID.Malformed"):
        ask(ImageId="i-0123456789abcdef0", **members)


def test_two_images_over_one_snapshot_are_governed_apart(shop: Shop) -> None:
    second_id = registered(shop.ec2, shop.image_id, "second")

    shop.ec2.disable_image(ImageId=second_id)

    assert shop.launch()["State"]["Name"] == "running"
    with refused("InvalidAMIID.Unavailable"):
        shop.launch(ImageId=second_id)
