"""Allowed AMIs, as boto3 sees them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.sharing import Clock, account_of, listed, registered, share
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def choose(ec2: "EC2Client", state: Any, *criteria: Any) -> None:
    """Set criteria and the state."""
    answer = ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=list(criteria))
    assert answer["ReturnValue"] is True
    assert ec2.enable_allowed_images_settings(AllowedImagesSettingsState=state)["AllowedImagesSettingsState"] == state


def settings(ec2: "EC2Client") -> tuple[str, list[Any]]:
    answer = ec2.get_allowed_images_settings()
    assert answer["ManagedBy"] == "account"
    return answer["State"], list(answer["ImageCriteria"])


def verdict(ec2: "EC2Client", image_id: str) -> bool | None:
    """Return what is shown of an image that is found: whether it is allowed, or nothing."""
    (image,) = ec2.describe_images(ImageIds=[image_id])["Images"]
    return image.get("ImageAllowed")


@pytest.fixture
def offered(shop: Shop, bob: "EC2Client") -> str:
    """An image of the shop's that is shared with bob."""
    share(shop.ec2, shop.image_id, account_of(bob))
    return shop.image_id


# Settings

CRITERIA: list[dict[str, Any]] = [
    {"ImageProviders": ["amazon", "aws-marketplace", "aws-backup-vault", "123456789012"]},
    {"MarketplaceProductCodes": ["abcdefg1234567890"]},
    {"ImageProviders": ["123456789014"], "ImageNames": ["golden-ami-*", "a?c", "()[]./-'@_ "]},
    {"DeprecationTimeCondition": {"MaximumDaysSinceDeprecated": 0}},
    {"CreationDateCondition": {"MaximumDaysSinceCreated": 2147483647}},
    {
        "ImageWatermarks": [
            {
                "WatermarkKey": "123456789012:appr*",
                "SourceImageRegion": "us-*",
                "MaximumDaysSinceSourceImageCreated": 0,
                "MaximumDaysSinceWatermarkCreated": 30,
            },
            {"WatermarkKey": "*"},
        ]
    },
]


def test_nothing_is_limited_at_first(alice: "EC2Client") -> None:
    assert settings(alice) == ("disabled", [])


def test_criteria_are_shown_as_they_were_given(alice: "EC2Client") -> None:
    choose(alice, "audit-mode", *CRITERIA)

    assert settings(alice) == ("audit-mode", CRITERIA)


def test_criteria_stay_when_the_state_changes(alice: "EC2Client") -> None:
    choose(alice, "audit-mode", CRITERIA[0])

    alice.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
    assert settings(alice) == ("enabled", CRITERIA[:1])
    assert alice.disable_allowed_images_settings()["AllowedImagesSettingsState"] == "disabled"
    assert settings(alice) == ("disabled", CRITERIA[:1])


def test_criteria_are_replaced_as_a_whole(alice: "EC2Client") -> None:
    choose(alice, "enabled", *CRITERIA)

    second: Any = CRITERIA[1]
    alice.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[second])
    assert settings(alice) == ("enabled", [CRITERIA[1]])
    alice.replace_image_criteria_in_allowed_images_settings()
    assert settings(alice) == ("enabled", [])


def test_settings_survive_a_restart(alice: "EC2Client", shared: RunningServer) -> None:
    choose(alice, "enabled", *CRITERIA)

    shared.server.context.store._read()

    assert settings(alice) == ("enabled", CRITERIA)


@pytest.mark.parametrize(
    "criteria",
    [
        [{"ImageProviders": ["nobody"]}],
        [{"ImageProviders": ["12345678901"]}],
        [{"ImageProviders": [f"{account:012}" for account in range(201)]}],
        [{"ImageNames": ["a#b"]}],
        [{"ImageNames": ["?"]}],
        [{"ImageNames": ["x" * 129]}],
        [{"ImageNames": [f"name-{number}" for number in range(51)]}],
        [{"MarketplaceProductCodes": ["with-hyphen"]}],
        [{"MarketplaceProductCodes": ["x" * 26]}],
        [{"MarketplaceProductCodes": [f"code{number}" for number in range(51)]}],
        [{"DeprecationTimeCondition": {"MaximumDaysSinceDeprecated": -1}}],
        [{"CreationDateCondition": {"MaximumDaysSinceCreated": 2147483648}}],
        [{"ImageWatermarks": [{"MaximumDaysSinceWatermarkCreated": -1}]}],
        [{"ImageWatermarks": [{"WatermarkKey": f"{number}"} for number in range(51)]}],
        [{"ImageNames": [f"name-{number}"]} for number in range(11)],
    ],
)
def test_criteria_of_a_wrong_form_are_refused_and_nothing_changes(wire: Any, criteria: list[Any]) -> None:
    parameters: dict[str, str] = {}
    _flatten("ImageCriterion", criteria, parameters)

    answer = wire.ask("ReplaceImageCriteriaInAllowedImagesSettings", parameters)

    assert (answer.status, answer.code) == (400, "InvalidParameterValue")
    assert wire.ask("GetAllowedImagesSettings").texts("item") == []


#: boto3's own names of what the requests call otherwise. botocore would refuse some of these before they are sent.
_WIRE = {
    "ImageProviders": "ImageProvider",
    "ImageNames": "ImageName",
    "MarketplaceProductCodes": "MarketplaceProductCode",
    "ImageWatermarks": "ImageWatermark",
}


def _flatten(path: str, value: Any, parameters: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{path}.{_WIRE.get(key, key)}", inner, parameters)
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            _flatten(f"{path}.{number}", inner, parameters)
    else:
        parameters[path] = str(value)


@pytest.mark.parametrize(
    "criteria",
    [
        [{"ImageProviders": ["none", "amazon"]}],
        [{"ImageProviders": ["none"], "ImageNames": ["a*"]}],
        [{"ImageProviders": ["none"]}, {"ImageProviders": ["amazon"]}],
    ],
)
def test_none_is_refused_beside_anything_else(alice: "EC2Client", criteria: Any) -> None:
    with refused("InvalidParameterCombination"):
        alice.replace_image_criteria_in_allowed_images_settings(ImageCriteria=criteria)


@pytest.mark.parametrize("state", ["disabled", "on"])
def test_a_state_that_cannot_be_enabled_is_refused(alice: "EC2Client", state: Any) -> None:
    with refused("InvalidParameterValue"):
        alice.enable_allowed_images_settings(AllowedImagesSettingsState=state)


def test_settings_of_accounts_and_regions_are_apart(
    alice: "EC2Client", bob: "EC2Client", shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    choose(alice, "enabled", CRITERIA[0])

    assert settings(bob) == ("disabled", [])
    assert settings(shared.ec2(f"alice of {request.node.nodeid}", "eu-west-1")) == ("disabled", [])


# What they do


def test_an_image_that_is_not_allowed_is_not_there(bob: "EC2Client", offered: str) -> None:
    assert offered in listed(bob)

    choose(bob, "enabled", {"ImageProviders": ["amazon"]})

    assert offered not in listed(bob)
    assert offered not in listed(bob, IncludeDeprecated=True, IncludeDisabled=True)
    with refused("InvalidAMIID.NotFound"):
        bob.describe_images(ImageIds=[offered])
    with refused("InvalidAMIID.NotFound"):
        bob.run_instances(ImageId=offered, MinCount=1, MaxCount=1)
    with refused("InvalidAMIID.NotFound"):
        bob.copy_image(Name="copy", SourceImageId=offered, SourceRegion="us-east-1")


def test_an_allowed_image_is_found_and_launched(shop: Shop, bob: "EC2Client", offered: str) -> None:
    choose(bob, "enabled", {"ImageProviders": ["amazon", shop.account_id]})

    assert offered in listed(bob)
    assert verdict(bob, offered) is True
    assert bob.run_instances(ImageId=offered, MinCount=1, MaxCount=1)["Instances"]


def test_audit_mode_shows_what_would_be_allowed_and_forbids_nothing(shop: Shop, bob: "EC2Client", offered: str) -> None:
    second = registered(shop.ec2, offered, "golden-2")
    share(shop.ec2, second, account_of(bob))
    choose(bob, "audit-mode", {"ImageNames": ["golden-*"]})

    assert (verdict(bob, offered), verdict(bob, second)) == (False, True)
    assert bob.run_instances(ImageId=offered, MinCount=1, MaxCount=1)["Instances"]
    for value, found in [("true", second), ("false", offered)]:
        allowed: Any = [{"Name": "image-allowed", "Values": [value]}]
        assert listed(bob, Owners=[shop.account_id], Filters=allowed) == {found}


def test_what_is_allowed_is_not_shown_where_nothing_is_limited(bob: "EC2Client", offered: str) -> None:
    choose(bob, "enabled", {"ImageProviders": ["none"]})
    bob.disable_allowed_images_settings()

    assert verdict(bob, offered) is None
    assert offered in listed(bob)


def test_own_images_are_always_allowed(shop: Shop) -> None:
    choose(shop.ec2, "enabled", {"ImageProviders": ["none"]})

    assert verdict(shop.ec2, shop.image_id) is True
    assert shop.launch()["State"]["Name"] == "running"


@pytest.mark.parametrize("criteria", [[], [{"ImageProviders": ["none"]}]])
def test_none_and_no_criteria_allow_no_image_of_others(bob: "EC2Client", offered: str, criteria: list[Any]) -> None:
    choose(bob, "enabled", *criteria)

    assert offered not in listed(bob)


def test_permission_comes_first(shop: Shop, bob: "EC2Client") -> None:
    choose(bob, "enabled", {"ImageProviders": [shop.account_id]})

    assert shop.image_id not in listed(bob)
    with refused("InvalidAMIID.NotFound"):
        bob.run_instances(ImageId=shop.image_id, MinCount=1, MaxCount=1)


@pytest.mark.parametrize(
    ("criteria", "allowed"),
    [
        ([{"ImageNames": ["test"]}], True),
        ([{"ImageNames": ["t*t", "nothing"]}], True),
        ([{"ImageNames": ["te?t"]}], True),
        ([{"ImageNames": ["te?"]}], False),
        ([{"ImageNames": ["[t]est"]}], False),
        ([{"ImageNames": ["TEST"]}], False),
        ([{"ImageProviders": ["OWNER"], "ImageNames": ["test"]}], True),
        ([{"ImageProviders": ["OWNER"], "ImageNames": ["other"]}], False),
        ([{"ImageProviders": ["123456789012"], "ImageNames": ["test"]}], False),
        ([{"ImageProviders": ["123456789012"]}, {"ImageNames": ["test"]}], True),
        ([{"ImageProviders": ["OWNER"], "MarketplaceProductCodes": ["abc"]}], False),
        ([{"CreationDateCondition": {"MaximumDaysSinceCreated": 1}}], True),
        ([{"CreationDateCondition": {"MaximumDaysSinceCreated": 0}}], False),
        ([{"DeprecationTimeCondition": {"MaximumDaysSinceDeprecated": 0}}], True),
        ([{"ImageWatermarks": [{"WatermarkKey": "*"}]}], False),
    ],
)
def test_a_criterion_is_met_as_a_whole_and_one_is_enough(
    shop: Shop, bob: "EC2Client", offered: str, criteria: Any, *, allowed: bool
) -> None:
    for criterion in criteria:
        if "ImageProviders" in criterion:
            owners = [shop.account_id if it == "OWNER" else it for it in criterion["ImageProviders"]]
            criterion["ImageProviders"] = owners

    choose(bob, "audit-mode", *criteria)

    assert verdict(bob, offered) is allowed


def test_a_watermark_that_meets_a_filter_allows_its_image(shop: Shop, bob: "EC2Client", offered: str) -> None:
    shop.ec2.attach_image_watermark(ImageId=offered, WatermarkName="approvedAmi")

    for watermark, allowed in [
        ({"WatermarkKey": f"{shop.account_id}:appr*"}, True),
        ({"WatermarkKey": f"{shop.account_id}:appr*", "SourceImageRegion": "us-east-?"}, True),
        ({"WatermarkKey": f"{shop.account_id}:appr*", "SourceImageRegion": "eu-*"}, False),
        ({"WatermarkKey": "*:approved"}, False),
        ({"MaximumDaysSinceWatermarkCreated": 1, "MaximumDaysSinceSourceImageCreated": 1}, True),
        ({"MaximumDaysSinceWatermarkCreated": 0}, False),
    ]:
        choose(bob, "audit-mode", {"ImageWatermarks": [{"SourceImageRegion": "nowhere"}, watermark]})
        assert verdict(bob, offered) is allowed, watermark


def test_age_counts_from_day_to_day(running: RunningServer, tmp_path: Path) -> None:
    clock = Clock(running)
    (disk := tmp_path / "disk.raw").write_bytes(bytes(1024**2))
    owner, bob = Shop(running, "owner", disk), running.ec2("bob")
    share(owner.ec2, owner.image_id, account_of(bob))
    owner.ec2.enable_image_deprecation(ImageId=owner.image_id, DeprecateAt=clock() + timedelta(days=10))
    choose(bob, "audit-mode", {"CreationDateCondition": {"MaximumDaysSinceCreated": 5}})

    assert verdict(bob, owner.image_id) is True
    clock.advance(days=6)
    assert verdict(bob, owner.image_id) is False

    never: Any = {"DeprecationTimeCondition": {"MaximumDaysSinceDeprecated": 0}}
    a_week: Any = {"DeprecationTimeCondition": {"MaximumDaysSinceDeprecated": 7}}
    for days, criterion, allowed in [(0, never, True), (5, never, False), (0, a_week, True), (7, a_week, False)]:
        clock.advance(days=days)
        choose(bob, "audit-mode", criterion)
        assert verdict(bob, owner.image_id) is allowed
    assert datetime.now(UTC) + timedelta(days=17) < clock()


def test_a_look_alike_of_a_stranger_is_neither_found_nor_launched(
    shop: Shop, bob: "EC2Client", carol: "EC2Client"
) -> None:
    """whoAMI: a name is looked up without its owner, and the newest match is launched."""
    name: Any = [{"Name": "name", "Values": ["debian-13-*"]}]
    trusted = registered(shop.ec2, shop.image_id, "debian-13-20261101")
    share(shop.ec2, trusted, "all")
    share(shop.ec2, shop.image_id, account_of(carol))
    shop.ec2.modify_snapshot_attribute(
        SnapshotId=shop.ec2.describe_images(ImageIds=[trusted])["Images"][0]["BlockDeviceMappings"][0]["Ebs"][
            "SnapshotId"
        ],
        CreateVolumePermission={"Add": [{"UserId": account_of(carol)}]},
    )
    planted = carol.copy_image(Name="debian-13-20261102", SourceImageId=shop.image_id, SourceRegion="us-east-1")[
        "ImageId"
    ]
    share(carol, planted, "all")
    accounts = {shop.account_id, account_of(carol)}
    found = [it for it in bob.describe_images(Filters=name)["Images"] if it["OwnerId"] in accounts]
    assert {image["ImageId"] for image in found} == {trusted, planted}

    choose(bob, "enabled", {"ImageProviders": [shop.account_id]})

    assert listed(bob, Filters=name) == {trusted}
    with refused("InvalidAMIID.NotFound"):
        bob.run_instances(ImageId=planted, MinCount=1, MaxCount=1)
    assert bob.run_instances(ImageId=trusted, MinCount=1, MaxCount=1)["Instances"]
