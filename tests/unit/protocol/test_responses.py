from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.protocol.model import Operation, ServiceModel
from bakehouse.protocol.responses import UnknownOutputMember, WrongOutputType, serialize_response

EC2 = ServiceModel.load("ec2")
STS = ServiceModel.load("sts")


def operation(name: str, model: ServiceModel = EC2) -> Operation:
    found = model.operation(name)
    assert found is not None
    return found


def body(name: str, response: Mapping[str, Any]) -> str:
    return serialize_response(operation(name), response, "request-1").decode()


class View(dict[str, Any]):
    """As a view of `ec2/` may be: a structure that keeps its own XML."""

    __slots__ = ("rendered",)

    def __init__(self, **members: Any) -> None:
        super().__init__(**members)
        self.rendered: str | None = None


def test_an_answer_has_aws_namespace_request_id_and_element_names() -> None:
    answer = body("DescribeRegions", {"Regions": [{"RegionName": "us-east-1", "Endpoint": "here"}]})

    assert answer == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>request-1</requestId>'
        "<regionInfo><item><regionName>us-east-1</regionName><regionEndpoint>here</regionEndpoint></item></regionInfo>"
        "</DescribeRegionsResponse>"
    )


def test_an_operation_without_output_answers_return_true() -> None:
    assert "<requestId>request-1</requestId><return>true</return></RebootInstancesResponse>" in body(
        "RebootInstances", {}
    )


def test_a_return_member_is_written_like_any_other() -> None:
    assert "<return>true</return>" in body("AuthorizeSecurityGroupIngress", {"Return": True})


def test_sts_answers_in_the_form_of_the_query_protocol() -> None:
    answer = serialize_response(operation("GetCallerIdentity", STS), {"Account": "123456789012"}, "request-1")

    assert answer.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        "<Account>123456789012</Account></GetCallerIdentityResult>"
        "<ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )


def test_none_is_left_out_and_an_empty_list_is_an_empty_element() -> None:
    answer = body("DescribeRegions", {"Regions": [{"RegionName": None, "Geography": []}]})

    assert "<item><geographySet></geographySet></item>" in answer


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC),
        datetime(2026, 11, 23, 6, 18, 9, 999, tzinfo=UTC),
        datetime(2026, 11, 23, 7, 18, 9, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_timestamp_is_utc_with_milliseconds(moment: datetime) -> None:
    assert "<startTime>2026-11-23T06:18:09.000Z</startTime>" in body("CreateSnapshot", {"StartTime": moment})


class Colour(StrEnum):
    RED = "red"


class Plain(str, Enum):  # noqa: UP042 - the older kind, which prints differently
    RED = "red"


class Number(IntEnum):
    FOUR = 4


@pytest.mark.parametrize("colour", [Colour.RED, Plain.RED])
def test_a_text_enumeration_is_written_as_its_value(colour: str) -> None:
    assert "<keyName>red</keyName>" in body("CreateKeyPair", {"KeyName": colour})


def test_a_number_enumeration_is_written_as_its_value() -> None:
    assert "<volumeSize>4</volumeSize>" in body("CreateSnapshot", {"VolumeSize": Number.FOUR})


def is_xml(character: str) -> bool:
    """Source: XML 1.0 (Fifth Edition), section 2.2, Char."""
    code = ord(character)
    return code in {9, 10, 13} or code in range(0x20, 0xD800) or code in range(0xE000, 0xFFFE) or code > 0xFFFF


@given(text=st.text())
def test_any_text_makes_well_formed_xml_and_what_xml_can_carry_comes_back(text: str) -> None:
    root = ET.fromstring(body("CreateKeyPair", {"KeyName": text}))  # noqa: S314 - it is our own
    found = root.findtext("{http://ec2.amazonaws.com/doc/2016-11-15/}keyName")

    assert found == "".join(character if is_xml(character) else "\ufffd" for character in text)


def test_an_unknown_member_raises_and_says_where() -> None:
    with pytest.raises(UnknownOutputMember) as raised:
        body("DescribeInstances", {"Reservations": [{"Instances": [{"InstanceID": "i-1"}]}]})

    assert str(raised.value) == "Instance has no member InstanceID"
    assert raised.value.__notes__ == [
        "in Instance.InstanceID",
        "in Reservation.Instances",
        "in DescribeInstancesResult.Reservations",
    ]


def test_a_member_of_an_operation_without_output_raises() -> None:
    with pytest.raises(UnknownOutputMember):
        body("RebootInstances", {"Return": True})


@pytest.mark.parametrize(
    ("action", "response"),
    [
        ("CreateKeyPair", {"KeyName": 1}),
        ("CreateKeyPair", {"KeyName": b"k"}),
        ("CreateKeyPair", {"Tags": {"Key": "a"}}),
        ("CreateKeyPair", {"Tags": "a"}),
        ("CreateKeyPair", {"Tags": ["a"]}),
        ("CreateKeyPair", {"Tags": [None]}),
        ("CreateSnapshot", {"VolumeSize": "8"}),
        ("CreateSnapshot", {"VolumeSize": 8.0}),
        ("CreateSnapshot", {"VolumeSize": True}),
        ("CreateSnapshot", {"Encrypted": "true"}),
        ("CreateSnapshot", {"Encrypted": 1}),
        ("CreateSnapshot", {"StartTime": "2026-11-23"}),
        ("CreateSnapshot", {"StartTime": datetime(2026, 11, 23)}),  # noqa: DTZ001 - a naive one is the point
    ],
)
def test_a_value_of_the_wrong_type_raises(action: str, response: Mapping[str, Any]) -> None:
    with pytest.raises(WrongOutputType):
        body(action, response)


def test_a_structure_that_keeps_its_xml_is_rendered_once() -> None:
    view = View(InstanceId="i-1")
    first = body("DescribeInstances", {"Reservations": [{"Instances": [view]}]})
    view["InstanceId"] = "i-2"  # only to show that it is not looked at again

    assert view.rendered == "<instanceId>i-1</instanceId>"
    assert body("DescribeInstances", {"Reservations": [{"Instances": [view]}]}) == first


def test_a_kept_fragment_that_was_dropped_is_made_anew() -> None:
    view = View(InstanceId="i-1")
    body("DescribeInstances", {"Reservations": [{"Instances": [view]}]})
    view["InstanceId"] = "i-2"
    view.rendered = None

    assert "i-2" in body("DescribeInstances", {"Reservations": [{"Instances": [view]}]})


def test_a_structure_that_could_not_be_rendered_keeps_nothing() -> None:
    view = View(InstanceID="i-1")
    with pytest.raises(UnknownOutputMember):
        body("DescribeInstances", {"Reservations": [{"Instances": [view]}]})

    assert view.rendered is None
