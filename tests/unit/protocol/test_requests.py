from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.form import MAX_PARAMETERS, decode_form
from bakehouse.protocol.model import ServiceModel
from bakehouse.protocol.requests import parse_request

EC2 = ServiceModel.load("ec2")


def parse(action: str, query: str | Sequence[tuple[str, str]]) -> dict[str, Any]:
    operation = EC2.operation(action)
    assert operation is not None
    return parse_request(operation, decode_form(query.encode()) if isinstance(query, str) else query)


def refusal(action: str, query: str | Sequence[tuple[str, str]]) -> ProtocolError:
    with pytest.raises(ProtocolError) as refused:
        parse(action, query)
    return refused.value


def test_members_are_named_as_boto3_names_them() -> None:
    query = (
        "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=2&SecurityGroupId.1=sg-1"
        "&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda&BlockDeviceMapping.1.Ebs.VolumeSize=8"
    )

    assert parse("RunInstances", query) == {
        "ImageId": "ami-1",
        "MinCount": 1,
        "MaxCount": 2,
        "SecurityGroupIds": ["sg-1"],
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}],
    }


@pytest.mark.parametrize(
    "query",
    [
        "InstanceId.1=i-1&InstanceId.2=i-2&InstanceId.3=i-3",
        "InstanceId.0=i-1&InstanceId.1=i-2&InstanceId.2=i-3",
        "InstanceId.10=i-3&InstanceId.9=i-2&InstanceId.1=i-1",
        "InstanceId.999999999=i-3&InstanceId.08=i-2&InstanceId.7=i-1",
    ],
)
def test_list_elements_are_ordered_by_number_wherever_numbers_begin(query: str) -> None:
    assert parse("DescribeInstances", query) == {"InstanceIds": ["i-1", "i-2", "i-3"]}


def test_a_list_of_one_may_come_without_a_number() -> None:
    assert parse("DescribeKeyPairs", "KeyName=mine") == {"KeyNames": ["mine"]}


def test_rules_in_the_old_flat_form_are_read() -> None:
    query = "GroupName=web&IpProtocol=tcp&FromPort=22&ToPort=22&CidrIp=0.0.0.0%2F0"

    assert parse("AuthorizeSecurityGroupIngress", query) == {
        "GroupName": "web",
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "CidrIp": "0.0.0.0/0",
    }


def test_both_forms_of_launch_permissions_may_come_in_one_request() -> None:
    query = (
        "ImageId=ami-1&Attribute=launchPermission&OperationType=add&UserGroup.1=all&LaunchPermission.Add.1.Group=all"
    )

    assert parse("ModifyImageAttribute", query) == {
        "ImageId": "ami-1",
        "Attribute": "launchPermission",
        "OperationType": "add",
        "UserGroups": ["all"],
        "LaunchPermission": {"Add": [{"Group": "all"}]},
    }


def test_empty_values_are_not_given() -> None:
    query = (
        "MinCount=1&MaxCount=1&ImageId=ami-1&SubnetId=&UserData=&Placement.AvailabilityZone=&IamInstanceProfile.Name="
        "&SecurityGroup=&DryRun="
    )

    assert parse("RunInstances", query) == {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}


def test_an_empty_tag_value_is_a_value() -> None:
    query = "ResourceId.1=i-1&Tag.1.Key=a&Tag.1.Value=&Tag.2.Key=b"

    assert parse("DeleteTags", query)["Tags"] == [{"Key": "a", "Value": ""}, {"Key": "b"}]


def test_an_empty_no_device_is_a_value() -> None:
    query = "InstanceId=i-1&Name=abc&BlockDeviceMapping.1.DeviceName=sdf&BlockDeviceMapping.1.NoDevice="

    assert parse("CreateImage", query)["BlockDeviceMappings"] == [{"DeviceName": "sdf", "NoDevice": ""}]


def test_an_empty_description_clears_it() -> None:
    assert parse("ModifyImageAttribute", "ImageId=ami-1&Description.Value=")["Description"] == {"Value": ""}


def test_an_empty_filter_value_is_a_value() -> None:
    query = "Filter.1.Name=tag%3Aowner&Filter.1.Value.1="

    assert parse("DescribeInstances", query)["Filters"] == [{"Name": "tag:owner", "Values": [""]}]


def test_a_list_element_all_of_whose_members_are_empty_is_an_element() -> None:
    query = "ResourceId.1=i-1&Tag.1.Key=&Tag.2.Key=b"

    assert parse("CreateTags", query)["Tags"] == [{}, {"Key": "b"}]


def test_an_empty_number_in_a_list_is_refused() -> None:
    query = "IpamPrefixListResolverId=a&IpamPrefixListResolverVersion.1=1&IpamPrefixListResolverVersion.2="

    assert refusal("GetIpamPrefixListResolverVersions", query).code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), ("True", True), ("1", True), ("false", False), ("False", False), ("0", False)]
)
def test_booleans_are_read_as_clients_write_them(text: str, truth: bool) -> None:  # noqa: FBT001
    assert parse("StopInstances", f"InstanceId.1=i-1&Force={text}")["Force"] is truth


def test_a_blob_is_base64_and_may_be_wrapped() -> None:
    parsed = parse("ImportKeyPair", [("KeyName", "k"), ("PublicKeyMaterial", "c3NoLXJz\nYSBBQUFB")])

    assert parsed["PublicKeyMaterial"] == b"ssh-rsa AAAA"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T06:18:09Z",
        "2026-11-23T06:18:09.000Z",
        "2026-11-23T07:18:09+01:00",
        "2026-11-23T06:18:09",
        "1795414689",
    ],
)
def test_a_timestamp_is_iso_8601_or_seconds_and_becomes_utc(text: str) -> None:
    parsed = parse("EnableImageDeprecation", [("ImageId", "ami-1"), ("DeprecateAt", text)])

    assert parsed["DeprecateAt"] == datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC)


def test_parameters_of_the_query_and_of_its_signature_belong_to_no_operation() -> None:
    query = "Action=DescribeRegions&Version=2016-11-15&X-Amz-Algorithm=a&X-Amz-Signature=b&AWSAccessKeyId=c&Timestamp=d"

    assert parse("DescribeRegions", query) == {}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("Nonsense=1", "Nonsense"),
        ("nonsense=", "nonsense"),
        ("instanceId.1=i-1", "instanceId.1"),
        ("InstanceId.1.Foo=1", "InstanceId.1.Foo"),
        ("InstanceId.x=1", "InstanceId.x"),
        ("InstanceId.=1", "InstanceId."),
        ("InstanceId.-1=1", "InstanceId.-1"),
        ("InstanceId.1234567890=1", "InstanceId.1234567890"),
        ("InstanceId.٣=1", "InstanceId.٣"),
        ("Filter.1.Foo=1", "Filter.1.Foo"),
        ("Filter.1=1", "Filter.1"),
        ("DryRun.1=true", "DryRun.1"),
        (".=1", "."),
        ("A" + ".1" * 2000 + "=1", "A" + ".1" * 2000),
    ],
)
def test_an_unknown_parameter_is_named_as_it_was_sent(query: str, named: str) -> None:
    refused = refusal("DescribeInstances", query)

    assert (refused.code, refused.message) == ("UnknownParameter", f"The parameter {named} is not recognized")


@pytest.mark.parametrize(
    ("action", "query", "named"),
    [
        ("StartInstances", "DryRun=true", "InstanceId"),
        ("StartInstances", "InstanceId=", "InstanceId"),
        ("RunInstances", "ImageId=ami-1&MinCount=1", "MaxCount"),
        ("AttachVolume", "", "Device"),
        ("ModifyCapacityReservationFleet", "", "CapacityReservationFleetId"),
        ("AssociateIamInstanceProfile", "InstanceId=i-1&IamInstanceProfile.Name=", "IamInstanceProfile"),
        ("CreateFleet", "TargetCapacitySpecification.TotalTargetCapacity=1", "LaunchTemplateConfigs"),
        (
            "CreateFleet",
            "LaunchTemplateConfigs.1.Overrides.1.SubnetId=a&TargetCapacitySpecification.SpotTargetCapacity=1",
            "TargetCapacitySpecification.TotalTargetCapacity",
        ),
    ],
)
def test_a_missing_parameter_is_named(action: str, query: str, named: str) -> None:
    refused = refusal(action, query)

    assert (refused.code, refused.message) == ("MissingParameter", f"The request must contain the parameter {named}")


@pytest.mark.parametrize(
    ("action", "query", "message"),
    [
        (
            "RunInstances",
            "MinCount=one",
            "Value (one) for parameter minCount is invalid. An integer is expected.",
        ),
        ("RunInstances", "MinCount=" + "9" * 5000, None),
        ("RunInstances", "MinCount=2147483648", None),
        ("RunInstances", "MinCount=1.5", None),
        ("RunInstances", "MinCount=%D9%A3", None),
        ("RunInstances", "MinCount=%201", None),
        (
            "RunInstances",
            "BlockDeviceMapping.1.Ebs.VolumeSize=big",
            "Value (big) for parameter blockDeviceMapping.1.ebs.volumeSize is invalid. An integer is expected.",
        ),
        ("RunInstances", "InstanceType=t99.nano", "Invalid value 't99.nano' for InstanceType."),
        (
            "RunInstances",
            "InstanceInitiatedShutdownBehavior=sleep",
            (
                "Value (sleep) for parameter instanceInitiatedShutdownBehavior is invalid. "
                "Valid values are: stop, terminate."
            ),
        ),
        (
            "StopInstances",
            "InstanceId.1=i-1&Force=maybe",
            "Value (maybe) for parameter force is invalid. Valid values are: true, false.",
        ),
        (
            "DescribeSubnets",
            "MaxResults=1",
            "Value ( 1 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
        ),
        ("DescribeSubnets", "MaxResults=100000", None),
        ("ImportKeyPair", "KeyName=k&PublicKeyMaterial=a", None),
        ("ImportKeyPair", "KeyName=k&PublicKeyMaterial=%E4%B8%AD", None),
        ("EnableImageDeprecation", "ImageId=ami-1&DeprecateAt=tomorrow", None),
        ("EnableImageDeprecation", "ImageId=ami-1&DeprecateAt=0001-01-01T00:00:00%2B14:00", None),
        ("EnableImageDeprecation", "ImageId=ami-1&DeprecateAt=999999999999", None),
        ("DeleteLaunchTemplate", "LaunchTemplateName=a%21", None),
        ("DeleteLaunchTemplate", "LaunchTemplateName=ab", None),
        ("GetSpotPlacementScores", "TargetCapacity=1" + "".join(f"&RegionName.{n}=a" for n in range(11)), None),
        ("CreateFleet", "OnDemandOptions.MaxTotalPrice=1&TargetCapacitySpecification.TotalTargetCapacity=1e9", None),
    ],
)
def test_a_value_that_does_not_fit_its_shape_is_refused(action: str, query: str, message: str | None) -> None:
    refused = refusal(action, query)

    assert refused.code == "InvalidParameterValue"
    assert message is None or refused.message == message


@pytest.mark.parametrize("text", ["\x00", "a\x1bb", "\ud800", "\uffff"])
def test_text_that_no_answer_could_carry_is_refused(text: str) -> None:
    assert refusal("CreateTags", [("ResourceId.1", "i-1"), ("Tag.1.Key", text)]).code == "InvalidCharacter"


@pytest.mark.parametrize(
    "query",
    [
        "DryRun=true&DryRun=false",
        "InstanceId.1=a&InstanceId.1=a",
        "InstanceId.1=a&InstanceId.01=b",
        "InstanceId=a&InstanceId.1=b",
        "InstanceId.1=b&InstanceId=a",
        "Filter.1.Name=a&Filter.1=b",
    ],
)
def test_a_parameter_given_twice_is_refused(query: str) -> None:
    assert refusal("DescribeInstances", query).code == "InvalidQueryParameter"


def test_too_many_parameters_are_refused() -> None:
    many = [(f"InstanceId.{number}", "i-1") for number in range(MAX_PARAMETERS + 1)]

    assert refusal("DescribeInstances", many).code == "MalformedQueryString"
