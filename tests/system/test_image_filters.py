"""DescribeImages: every filter of the model's documentation, owners, launchers, and what each finds."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal

from bakehouse.app.image_imports import ImportImage
from bakehouse.domain.caller import Caller
from bakehouse.ec2.image_views import FILTERS

PARAMETER = "/aws/service/bakehouse/filters/latest/x86_64"


class Catalogue:
    """Two images: `plain` is the shop's own, `rich` has everything that can be asked for."""

    def __init__(self, shop: Shop) -> None:
        self.ec2 = shop.ec2
        self.shop = shop
        self.plain_id = shop.image_id
        (plain,) = shop.ec2.describe_images(ImageIds=[self.plain_id])["Images"]
        self.snapshot_id = plain["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        self.rich_id = shop.ec2.register_image(
            Name="rich-[1]",
            Description="with *everything?\\",
            Architecture="i386",
            RootDeviceName="/dev/sda1",
            BootMode="uefi",
            EnaSupport=False,
            SriovNetSupport="simple",
            BlockDeviceMappings=[
                {
                    "DeviceName": "/dev/sda1",
                    "Ebs": {
                        "SnapshotId": self.snapshot_id,
                        "VolumeSize": 11,
                        "VolumeType": "gp2",
                        "DeleteOnTermination": False,
                    },
                },
                {"DeviceName": "/dev/sdf", "VirtualName": "ephemeral0"},
            ],
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "stage", "Value": "live"}]}],
        )["ImageId"]

    def found(self, *filters: tuple[str, str], **members: Any) -> set[str]:
        """Return which of the two filters find, among the caller's own unless other owners are named."""
        given: dict[str, Any] = {"Owners": ["self"], **members}
        wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
        images = self.ec2.describe_images(Filters=wanted, **given)["Images"]
        names = {self.plain_id: "plain", self.rich_id: "rich"}
        return {names.get(image["ImageId"], image["ImageId"]) for image in images}


@pytest.fixture
def catalogue(shop: Shop) -> Catalogue:
    return Catalogue(shop)


def test_every_filter_of_the_documentation_is_known() -> None:
    model = next((Path(botocore.__file__).parent / "data/ec2/2016-11-15").glob("service-2.json*"))
    shapes = json.loads(gzip.decompress(model.read_bytes()))["shapes"]
    text = shapes["DescribeImagesRequest"]["members"]["Filters"]["documentation"]

    documented = set(re.findall(r"<p> <code>([a-z.-]+)</code> +[-–]", text))  # noqa: RUF001 - AWS writes both

    assert len(documented) > 40
    assert documented - {"tag:"} <= set(FILTERS.names)


@pytest.mark.parametrize(
    ("name", "rich", "plain"),
    [
        ("architecture", "i386", "x86_64"),
        ("block-device-mapping.delete-on-termination", "false", "true"),
        ("block-device-mapping.device-name", "/dev/sdf", "/dev/xvda"),
        ("block-device-mapping.volume-size", "11", "2"),
        ("block-device-mapping.volume-type", "gp2", "gp3"),
        ("description", "with *thing*", "-"),
        ("description", r"with \*everything\?\\", "-"),
        ("ena-support", "false", "true"),
        ("name", "rich-*", "te?t"),
        ("name", "rich-[1]", "t*st"),
        ("root-device-name", "/dev/sda1", "/dev/xvda"),
        ("manifest-location", "*/rich-*", "*/test"),
    ],
)
def test_a_filter_tells_one_image_from_the_other(catalogue: Catalogue, name: str, rich: str, plain: str) -> None:
    assert catalogue.found((name, rich)) == {"rich"}
    assert catalogue.found((name, plain)) == (set() if plain == "-" else {"plain"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("boot-mode", "uefi"),
        ("sriov-net-support", "simple"),
        ("tag:stage", "l*"),
        ("tag-key", "stage"),
        ("tag-value", "live"),
    ],
)
def test_a_filter_finds_what_one_image_alone_has(catalogue: Catalogue, name: str, value: str) -> None:
    assert catalogue.found((name, value)) == {"rich"}
    assert catalogue.found((name, f"{value}-not")) == set()


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("block-device-mapping.encrypted", "false", "true"),
        ("creation-date", "20??-*Z", "19*"),
        ("free-tier-eligible", "false", "true"),
        ("hypervisor", "xen", "ovm"),
        ("image-allowed", "true", "false"),
        ("image-type", "machine", "kernel"),
        ("is-public", "false", "true"),
        ("platform-details", "Linux/UNIX", "Windows"),
        ("root-device-type", "ebs", "instance-store"),
        ("state", "available", "pending"),
        ("usage-operation", "RunInstances", "RunInstances:0002"),
        ("virtualization-type", "hvm", "paravirtual"),
    ],
)
def test_a_filter_finds_both_or_neither(catalogue: Catalogue, name: str, value: str, other: str) -> None:
    assert (catalogue.found((name, value)), catalogue.found((name, other))) == ({"plain", "rich"}, set())


@pytest.mark.parametrize(
    "name",
    [
        "image-watermark.source-image-creation-time",
        "image-watermark.source-image-id",
        "image-watermark.source-image-region",
        "image-watermark.watermark-creation-time",
        "image-watermark.watermark-key",
        "instance-type-specification.supported-instance-type",
        "instance-type-specification.unsupported-instance-type",
        "kernel-id",
        "owner-alias",
        "platform",
        "product-code",
        "product-code.type",
        "public-ssm-parameter-name",
        "ramdisk-id",
        "source-image-id",
        "source-image-region",
        "source-instance-id",
        "state-reason-code",
        "state-reason-message",
    ],
)
def test_what_neither_image_has_is_not_found(catalogue: Catalogue, name: str) -> None:
    assert catalogue.found((name, "*")) == set()


def test_ids_are_filters_too(catalogue: Catalogue) -> None:
    assert catalogue.found(("image-id", catalogue.rich_id)) == {"rich"}
    assert catalogue.found(("owner-id", catalogue.shop.account_id)) == {"plain", "rich"}
    assert catalogue.found(("block-device-mapping.snapshot-id", catalogue.snapshot_id)) == {"plain", "rich"}


def test_a_copy_is_found_by_its_source(catalogue: Catalogue) -> None:
    source: Any = {"SourceRegion": "us-east-1", "SourceImageId": catalogue.plain_id}
    copy_id = catalogue.ec2.copy_image(Name="copy", **source)["ImageId"]

    assert catalogue.found(("source-image-id", catalogue.plain_id)) == {copy_id}
    assert catalogue.found(("source-image-region", "us-*")) == {copy_id}


def test_a_failed_copy_is_found_by_the_reason(catalogue: Catalogue) -> None:
    running = catalogue.shop.running
    running.call(running.drivers.volumes.delete_snapshot(catalogue.snapshot_id))
    source: Any = {"SourceRegion": "us-east-1", "SourceImageId": catalogue.plain_id}
    copy_id = catalogue.ec2.copy_image(Name="copy", **source)["ImageId"]

    assert catalogue.found(("state", "failed")) == {copy_id}
    assert catalogue.found(("state-reason-code", "Client.InvalidSnapshot.NotFound")) == {copy_id}
    assert catalogue.found(("state-reason-message", "*deleted*")) == {copy_id}


def test_all_filters_must_hold_and_any_value(catalogue: Catalogue) -> None:
    assert catalogue.found(("architecture", "i386"), ("boot-mode", "uefi"), ("tag:stage", "live")) == {"rich"}
    assert catalogue.found(("architecture", "i386"), ("root-device-name", "/dev/xvda")) == set()
    wanted: Any = [{"Name": "architecture", "Values": ["i386", "x86_64"]}]
    assert len(catalogue.ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]) == 2


def test_filters_apply_to_images_named_by_id_too(catalogue: Catalogue) -> None:
    assert catalogue.found(("architecture", "x86_64"), ImageIds=[catalogue.rich_id]) == set()


def test_images_named_by_id_come_in_no_pages(catalogue: Catalogue) -> None:
    """The EC2 API Reference does not say so, but clients have met it."""
    with pytest.raises(ClientError, match="The parameter imageIdsSet cannot be used with the parameter maxResults"):
        catalogue.ec2.describe_images(ImageIds=[catalogue.plain_id], MaxResults=5)


@pytest.mark.parametrize("owner", ["amazon", "aws-marketplace", "aws-backup-vault", "111122223333", "1111-2222-3333"])
def test_aliases_and_strangers_own_none_of_them(catalogue: Catalogue, owner: str) -> None:
    assert catalogue.found(Owners=[owner]) == set()


def test_an_owner_is_named_by_account_and_one_of_several_is_enough(catalogue: Catalogue) -> None:
    assert catalogue.found(Owners=[catalogue.shop.account_id]) == {"plain", "rich"}
    assert catalogue.found(Owners=["amazon", "self"]) == {"plain", "rich"}


def test_an_owner_that_is_no_account_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(ClientError) as error:
        catalogue.found(Owners=["nobody"])

    assert refusal(error) == "InvalidUserID.Malformed"


def test_executable_users_are_those_with_explicit_permission(
    catalogue: Catalogue, shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    name = f"friend of {request.node.nodeid}"
    friend, account_id = shared.ec2(name), shared.access_key(name).account_id
    change = catalogue.ec2.modify_image_attribute
    change(ImageId=catalogue.plain_id, LaunchPermission={"Add": [{"UserId": account_id}]})
    change(ImageId=catalogue.rich_id, LaunchPermission={"Add": [{"Group": "all"}]})

    def found(client: Any, user: str) -> set[str]:
        images = client.describe_images(ExecutableUsers=[user], Owners=[catalogue.shop.account_id])["Images"]
        names = {catalogue.plain_id: "plain", catalogue.rich_id: "rich"}
        return {names[image["ImageId"]] for image in images}

    assert (found(friend, "self"), found(friend, "all")) == ({"plain"}, {"rich"})
    assert (found(catalogue.ec2, "self"), found(catalogue.ec2, account_id)) == (set(), {"plain"})


def test_an_image_is_found_by_the_parameters_that_ever_named_it(shop: Shop, tmp_path: Path) -> None:
    disk = tmp_path / "published.raw"
    disk.write_bytes(bytes(2**20))
    caller = Caller(account_id=shop.account_id, region="us-east-1")

    def published(name: str) -> str:
        order = ImportImage(path=disk, name=name, public_parameter=PARAMETER)
        images = shop.running.server.app.images
        return shop.running.call(images.import_file(caller, order, progress=lambda _fraction: None)).id

    old_id, new_id = published("old"), published("new")

    wanted: Any = [{"Name": "public-ssm-parameter-name", "Values": [PARAMETER]}]
    shown = {it["ImageId"]: it for it in shop.ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]}
    assert set(shown) == {old_id, new_id}
    assert shown[new_id]["PublicSsmParameterName"] == PARAMETER
    assert "PublicSsmParameterName" not in shown[old_id]


def test_last_launched_time_is_shown_once_an_instance_was_launched(shop: Shop) -> None:
    (before,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]

    shop.launch()

    (after,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    shown = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="lastLaunchedTime")
    assert "LastLaunchedTime" not in before
    assert shown["LastLaunchedTime"] == {"Value": after["LastLaunchedTime"]}
