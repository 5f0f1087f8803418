"""Regions, zones and account attributes as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.refusals import refused

from bakehouse.domain.region import REGIONS

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def test_all_regions_are_listed(alice: "EC2Client") -> None:
    regions = alice.describe_regions()["Regions"]

    assert [region["RegionName"] for region in regions] == list(REGIONS)
    assert {region["OptInStatus"] for region in regions} == {"opt-in-not-required"}


def test_regions_are_chosen_by_name_and_filter(alice: "EC2Client") -> None:
    named = alice.describe_regions(RegionNames=["eu-west-1"], AllRegions=True)["Regions"]
    filtered = alice.describe_regions(Filters=[{"Name": "region-name", "Values": ["us-*"]}])["Regions"]

    assert [region["RegionName"] for region in named] == ["eu-west-1"]
    assert len(filtered) == 4
    with refused("InvalidParameterValue"):
        alice.describe_regions(RegionNames=["mars-north-1"])


@pytest.mark.parametrize(
    ("region", "zone_id"), [("us-east-1", "use1-az1"), ("eu-central-1", "euc1-az1"), ("ap-southeast-2", "apse2-az1")]
)
def test_zones_are_those_of_the_caller_s_region(
    shared: RunningServer, region: str, zone_id: str, request: pytest.FixtureRequest
) -> None:
    zones = shared.ec2(request.node.nodeid, region).describe_availability_zones()["AvailabilityZones"]

    assert [zone["ZoneName"] for zone in zones] == [f"{region}{letter}" for letter in "abc"]
    assert zones[0]["ZoneId"] == zone_id


def test_zones_are_chosen_by_name_id_and_filter(alice: "EC2Client") -> None:
    def names(**how: Any) -> list[str]:
        return [zone["ZoneName"] for zone in alice.describe_availability_zones(**how)["AvailabilityZones"]]

    assert names(ZoneNames=["us-east-1b"]) == ["us-east-1b"]
    assert names(ZoneIds=["use1-az2"]) == ["us-east-1b"]
    assert names(Filters=[{"Name": "zone-name", "Values": ["*b"]}]) == ["us-east-1b"]
    with refused("InvalidParameterValue"):
        names(ZoneNames=["eu-west-1a"])
    with refused("InvalidParameterValue"):
        names(ZoneIds=["euw1-az1"])


def test_a_region_that_there_is_not_is_refused(shared: RunningServer) -> None:
    client = shared.ec2("lost", "mars-north-1")

    with pytest.raises(ClientError) as error:
        client.describe_regions()

    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_account_attributes_name_the_default_vpc(alice: "EC2Client") -> None:
    attributes = alice.describe_account_attributes()["AccountAttributes"]

    values = {entry["AttributeName"]: entry["AttributeValues"][0]["AttributeValue"] for entry in attributes}
    assert values["default-vpc"] == alice.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert values["supported-platforms"] == "VPC"


def test_one_account_attribute_is_asked_for_by_its_name(alice: "EC2Client") -> None:
    attributes = alice.describe_account_attributes(AttributeNames=["supported-platforms"])["AccountAttributes"]

    assert [entry["AttributeName"] for entry in attributes] == ["supported-platforms"]
