"""Public parameters: names that stand for the newest image, looked up by SSM's API and by RunInstances itself."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer

from bakehouse.app.image_imports import ImportImage
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error

NAME = "/aws/service/bakehouse/minimal/latest/x86_64"
DEBIAN = "/aws/service/debian/release/12/latest/amd64"


class Publisher:
    """An account that imports images under public names."""

    def __init__(self, running: RunningServer, account: str, disk: Path) -> None:
        self._running = running
        self._disk = disk
        self._number = 0
        self.account_id = running.access_key(account).account_id
        self.ec2: Any = running.ec2(account)
        self.ssm: Any = running.client("ssm", account)

    def publish(self, name: str | None = NAME, *, region: str = "us-east-1") -> str:
        """Import an image and return its id."""
        self._number += 1
        caller = Caller(account_id=self.account_id, region=region)
        order = ImportImage(path=self._disk, name=f"image-{self._number}", public_parameter=name)
        app = self._running.server.app
        return self._running.call(app.images.import_file(caller, order, progress=lambda _fraction: None)).id

    def share(self, image_id: str, **who: str) -> None:
        self.ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [who]})


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(2**20)
    return path


@pytest.fixture
def alice(running: RunningServer, disk: Path) -> Publisher:
    return Publisher(running, "alice", disk)


@pytest.fixture
def bob(running: RunningServer, disk: Path) -> Publisher:
    return Publisher(running, "bob", disk)


def refused(call: Any, /, **parameters: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**parameters)
    code: str = refusal.value.response["Error"]["Code"]
    return code


def names(answer: Any) -> list[str]:
    return [parameter["Name"] for parameter in answer["Parameters"]]


def test_a_parameter_is_answered_as_aws_does(alice: Publisher) -> None:
    image_id = alice.publish()

    parameter = alice.ssm.get_parameter(Name=NAME)["Parameter"]

    modified = parameter.pop("LastModifiedDate")
    created = alice.ec2.describe_images(ImageIds=[image_id])["Images"][0]["CreationDate"]
    assert modified.astimezone().isoformat()[:4] == created[:4]
    assert parameter == {
        "Name": NAME,
        "Type": "String",
        "Value": image_id,
        "Version": 1,
        "ARN": f"arn:aws:ssm:us-east-1::parameter{NAME}",
        "DataType": "aws:ec2:image",
    }


def test_a_later_image_takes_the_name_over(alice: Publisher) -> None:
    first, second = alice.publish(), alice.publish()

    newest = alice.ssm.get_parameter(Name=NAME)["Parameter"]
    oldest = alice.ssm.get_parameter(Name=f"{NAME}:1")["Parameter"]

    assert (newest["Value"], newest["Version"]) == (second, 2)
    assert (oldest["Value"], oldest["Version"], oldest["Selector"]) == (first, 1, ":1")


def test_an_image_shows_the_name_that_stands_for_it_now_and_is_found_by_any_that_ever_did(alice: Publisher) -> None:
    first, second = alice.publish(), alice.publish()

    shown = alice.ec2.describe_images(ImageIds=[first, second])["Images"]
    found = alice.ec2.describe_images(Filters=[{"Name": "public-ssm-parameter-name", "Values": ["/aws/service/*"]}])

    assert {image["ImageId"]: image.get("PublicSsmParameterName") for image in shown} == {first: None, second: NAME}
    assert [image["ImageId"] for image in found["Images"]] == [first, second]


def test_a_parameter_is_found_by_its_arn_and_with_blanks_around_it(alice: Publisher) -> None:
    image_id = alice.publish()

    for asked in (f"arn:aws:ssm:us-east-1::parameter{NAME}", f" {NAME} ", f"{NAME}:1"):
        assert alice.ssm.get_parameter(Name=asked)["Parameter"]["Value"] == image_id


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/aws/service/nothing/at/all", "ParameterNotFound"),
        ("nothing", "ParameterNotFound"),
        (f"{NAME}:2", "ParameterVersionNotFound"),
        (f"{NAME}:stable", "ParameterVersionNotFound"),
        ("/aws/service/with a/blank", "ValidationException"),
        (f"arn:aws:ssm:eu-west-1::parameter{NAME}", "ParameterNotFound"),
        ("a" * 2049, "ValidationException"),
    ],
)
def test_a_parameter_that_is_not_there_is_refused(alice: Publisher, name: str, code: str) -> None:
    alice.publish()

    assert refused(alice.ssm.get_parameter, Name=name) == code


def test_several_parameters_are_answered_by_name_and_the_missing_ones_named(alice: Publisher) -> None:
    alice.publish(DEBIAN)
    alice.publish(NAME)

    answer = alice.ssm.get_parameters(Names=[DEBIAN, "/aws/service/no/such", NAME, f"{NAME}:7"])

    assert names(answer) == [NAME, DEBIAN]
    assert answer["InvalidParameters"] == ["/aws/service/no/such", f"{NAME}:7"]


def test_parameters_by_path_are_one_level_or_all_below(alice: Publisher) -> None:
    alice.publish(DEBIAN)
    alice.publish(NAME)

    assert names(alice.ssm.get_parameters_by_path(Path="/aws/service/debian")) == []
    assert names(alice.ssm.get_parameters_by_path(Path="/aws/service/debian/release/12/latest/")) == [DEBIAN]
    assert names(alice.ssm.get_parameters_by_path(Path="/aws/service/debian", Recursive=True)) == [DEBIAN]
    assert names(alice.ssm.get_parameters_by_path(Path="/aws/service", Recursive=True)) == [NAME, DEBIAN]
    assert names(alice.ssm.get_parameters_by_path(Path="/", Recursive=True)) == []
    assert names(alice.ssm.get_parameters_by_path(Path="/aws/service/deb", Recursive=True)) == []
    assert refused(alice.ssm.get_parameters_by_path, Path="aws/service") == "ValidationException"


def test_pages_hold_all_parameters_in_order(alice: Publisher) -> None:
    published = sorted(f"/aws/service/bakehouse/kind-{number:02}/latest/x86_64" for number in range(12))
    for name in reversed(published):
        alice.publish(name)
    ask = alice.ssm.get_paginator("get_parameters_by_path").paginate

    whole = [names(each) for each in ask(Path="/aws/service", Recursive=True)]
    small = [names(each) for each in ask(Path="/aws/service", Recursive=True, MaxResults=5)]

    assert [len(each) for each in whole] == [10, 2]
    assert [len(each) for each in small] == [5, 5, 2]
    assert list(chain.from_iterable(whole)) == list(chain.from_iterable(small)) == published
    by_path = alice.ssm.get_parameters_by_path
    assert refused(by_path, Path="/aws/service", NextToken="forged") == "InvalidNextToken"
    token = by_path(Path="/aws/service", Recursive=True)["NextToken"]
    assert refused(by_path, Path="/aws/service/bakehouse", Recursive=True, NextToken=token) == "InvalidNextToken"


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ({"Key": "Type", "Values": ["String"]}, True),
        ({"Key": "Type", "Option": "BeginsWith", "Values": ["Str"]}, True),
        ({"Key": "Type", "Values": ["SecureString"]}, False),
        ({"Key": "KeyId", "Values": ["alias/aws/ssm"]}, False),
        ({"Key": "Label", "Values": ["stable"]}, False),
        ({"Key": "Name", "Values": ["a"]}, "InvalidFilterKey"),
        ({"Key": "Label", "Option": "BeginsWith", "Values": ["a"]}, "InvalidFilterOption"),
        ({"Key": "Type", "Option": "Contains", "Values": ["a"]}, "InvalidFilterOption"),
        ({"Key": "Type"}, "ValidationException"),
    ],
)
def test_filters_of_a_path(alice: Publisher, filter_: Any, found: Any) -> None:
    alice.publish()
    asked = {"Path": "/aws/service", "Recursive": True, "ParameterFilters": [filter_]}

    if isinstance(found, str):
        assert refused(alice.ssm.get_parameters_by_path, **asked) == found
    else:
        assert names(alice.ssm.get_parameters_by_path(**asked)) == ([NAME] if found else [])


def test_nobody_is_told_of_an_image_that_is_not_there_for_them(alice: Publisher, bob: Publisher) -> None:
    first, second = alice.publish(), alice.publish()

    assert refused(bob.ssm.get_parameter, Name=NAME) == "ParameterNotFound"
    assert names(bob.ssm.get_parameters_by_path(Path="/aws/service", Recursive=True)) == []
    alice.share(first, UserId=bob.account_id)
    assert bob.ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == first
    assert refused(bob.ssm.get_parameter, Name=f"{NAME}:2") == "ParameterVersionNotFound"
    alice.share(second, Group="all")
    assert bob.ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == second


def test_a_name_belongs_to_its_region(alice: Publisher, running: RunningServer) -> None:
    alice.publish()
    elsewhere = alice.publish(region="eu-west-1")

    there: Any = running.client("ssm", "alice", "eu-west-1")
    assert there.get_parameter(Name=NAME)["Parameter"]["Value"] == elsewhere
    assert alice.ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 1


def test_a_launch_resolves_a_parameter(alice: Publisher, bob: Publisher) -> None:
    first, second = alice.publish(), alice.publish()
    run = {"MinCount": 1, "MaxCount": 1}

    newest = alice.ec2.run_instances(ImageId=f"resolve:ssm:{NAME}", **run)["Instances"][0]
    oldest = alice.ec2.run_instances(ImageId=f"resolve:ssm:{NAME}:1", **run)["Instances"][0]

    assert (newest["ImageId"], oldest["ImageId"]) == (second, first)
    for asked in ("resolve:ssm:/aws/service/no/such", f"resolve:ssm:{NAME}:9", "resolve:ssm:"):
        assert refused(alice.ec2.run_instances, ImageId=asked, **run) == "InvalidParameterValue"
    assert refused(bob.ec2.run_instances, ImageId=f"resolve:ssm:{NAME}", **run) == "InvalidParameterValue"


def test_a_deregistered_image_is_still_named_to_its_owner_and_launches_no_more(alice: Publisher) -> None:
    image_id = alice.publish()
    alice.ec2.deregister_image(ImageId=image_id)

    assert alice.ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == image_id
    code = refused(alice.ec2.run_instances, ImageId=f"resolve:ssm:{NAME}", MinCount=1, MaxCount=1)
    assert code in {"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"}


@pytest.mark.parametrize(
    "name", ["/my/own/name", "/aws/service/", "aws/service/a", "/aws/service/a b", "/aws/service/ä"]
)
def test_only_a_path_below_aws_service_is_published(alice: Publisher, name: str) -> None:
    with pytest.raises(Ec2Error, match="InvalidParameterValue"):
        alice.publish(name)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("put_parameter", {"Name": "/mine", "Value": "v", "Type": "String"}),
        ("delete_parameter", {"Name": NAME}),
        ("describe_parameters", {}),
        ("send_command", {"DocumentName": "AWS-RunShellScript"}),
    ],
)
def test_the_rest_of_systems_manager_is_refused(alice: Publisher, operation: str, parameters: Any) -> None:
    assert refused(getattr(alice.ssm, operation), **parameters) == "UnsupportedOperation"
