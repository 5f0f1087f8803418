"""Profiles of instances, and the temporary credentials that guests read."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.roles import profile
from tests.system.shop import Shop

from bakehouse.imds.tree import find


@pytest.fixture
def iam(shop: Shop) -> Any:
    """A boto3 client of IAM, of the shop's account."""
    return shop.running.client("iam", shop.name)


def read(shop: Shop, instance_id: str, path: str) -> Any:
    """Return what the instance's guest reads at a path of its metadata; None for 404."""
    instance = shop.describe(instance_id)
    metadata = shop.running.server.app.metadata.of(instance["VpcId"], instance["PrivateIpAddress"])
    assert metadata is not None
    return find(metadata, f"latest/meta-data/{path}")


def with_credentials(running: RunningServer, service: str, credentials: Any) -> Any:
    """Return a client that signs as a guest does."""
    return boto3.client(  # type: ignore[call-overload] # any service
        service,
        endpoint_url=running.url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("Token") or credentials["SessionToken"],
    )


def credentials_of(shop: Shop, instance_id: str) -> Any:
    return json.loads(read(shop, instance_id, "iam/security-credentials/web"))


@pytest.mark.parametrize("by", ["Name", "Arn"])
def test_an_instance_is_launched_with_a_profile(shop: Shop, iam: Any, by: str) -> None:
    arn = profile(iam)

    instance = shop.launch(IamInstanceProfile={by: {"Name": "web", "Arn": arn}[by]})

    shown = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    assert instance["IamInstanceProfile"] == {"Arn": arn, "Id": shown["InstanceProfileId"]}
    assert shop.found(("iam-instance-profile.arn", arn)) == [instance["InstanceId"]]


def test_profiles_that_cannot_be_launched_with_are_refused_as_terraform_expects(shop: Shop, iam: Any) -> None:
    iam.create_instance_profile(InstanceProfileName="empty")
    for members, words in (
        ({"Name": "none"}, "Invalid IAM Instance Profile name"),
        ({"Arn": f"arn:aws:iam::{shop.account_id}:instance-profile/none"}, "Invalid IAM Instance Profile ARN"),
        ({"Name": "empty"}, "has no associated IAM Roles"),
    ):
        with pytest.raises(shop.ec2.exceptions.ClientError, match=words):
            shop.launch_ids(MinCount=1, MaxCount=1, IamInstanceProfile=members)


def test_a_profile_is_associated_replaced_and_taken_back(shop: Shop, iam: Any) -> None:
    web, other = profile(iam), profile(iam, "other")
    instance_id = shop.launch()["InstanceId"]

    first = shop.ec2.associate_iam_instance_profile(InstanceId=instance_id, IamInstanceProfile={"Name": "web"})
    association = first["IamInstanceProfileAssociation"]
    assert (association["State"], association["IamInstanceProfile"]["Arn"]) == ("associating", web)
    with refused("IncorrectState"):
        shop.ec2.associate_iam_instance_profile(InstanceId=instance_id, IamInstanceProfile={"Name": "web"})
    replaced = shop.ec2.replace_iam_instance_profile_association(
        AssociationId=association["AssociationId"], IamInstanceProfile={"Arn": other}
    )["IamInstanceProfileAssociation"]
    assert replaced["AssociationId"] != association["AssociationId"]
    (shown,) = shop.ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    assert (shown["State"], shown["AssociationId"]) == ("associated", replaced["AssociationId"])

    gone = shop.ec2.disassociate_iam_instance_profile(AssociationId=replaced["AssociationId"])
    assert gone["IamInstanceProfileAssociation"]["State"] == "disassociating"
    assert "IamInstanceProfile" not in shop.describe(instance_id)
    with refused("InvalidAssociationID.NotFound"):
        shop.ec2.disassociate_iam_instance_profile(AssociationId=replaced["AssociationId"])


def test_associations_are_found_by_filters_and_ids_and_page_by_page(shop: Shop, iam: Any) -> None:
    profile(iam)
    instance_ids = shop.launch_ids(MinCount=6, MaxCount=6, IamInstanceProfile={"Name": "web"})
    describe = shop.ec2.describe_iam_instance_profile_associations
    every = describe()["IamInstanceProfileAssociations"]

    pages = list(
        shop.ec2.get_paginator("describe_iam_instance_profile_associations").paginate(PaginationConfig={"PageSize": 5})
    )
    wanted: Any = [{"Name": "instance-id", "Values": [instance_ids[1]]}]
    by_instance = describe(Filters=wanted)["IamInstanceProfileAssociations"]
    by_state = describe(Filters=[{"Name": "state", "Values": ["disassociated"]}])["IamInstanceProfileAssociations"]
    by_id = describe(AssociationIds=[every[0]["AssociationId"]])["IamInstanceProfileAssociations"]

    assert [len(page["IamInstanceProfileAssociations"]) for page in pages] == [5, 1]
    assert [it["InstanceId"] for it in by_instance] == [instance_ids[1]]
    assert by_state == []
    assert by_id == every[:1]


def test_another_accounts_association_is_not_found(shop: Shop, iam: Any, shared: RunningServer) -> None:
    profile(iam)
    shop.launch(IamInstanceProfile={"Name": "web"})
    (association,) = shop.ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    stranger = shared.ec2("stranger who wants profiles")

    with refused("InvalidAssociationID.NotFound"):
        stranger.disassociate_iam_instance_profile(AssociationId=association["AssociationId"])


def test_a_guest_reads_its_profile_and_credentials(shop: Shop, iam: Any) -> None:
    arn = profile(iam)
    instance_id = shop.launch(IamInstanceProfile={"Name": "web"})["InstanceId"]

    info = json.loads(read(shop, instance_id, "iam/info"))
    credentials = credentials_of(shop, instance_id)

    assert (info["Code"], info["InstanceProfileArn"]) == ("Success", arn)
    assert read(shop, instance_id, "iam/security-credentials").listing() == "web"
    assert (credentials["Code"], credentials["Type"]) == ("Success", "AWS-HMAC")
    assert credentials["AccessKeyId"].startswith("ASIA")
    expires_in = datetime.fromisoformat(credentials["Expiration"]) - datetime.now(UTC)
    assert timedelta(hours=4) < expires_in <= timedelta(hours=6)
    assert credentials_of(shop, instance_id) == credentials


def test_a_guest_without_a_profile_reads_none(shop: Shop) -> None:
    assert read(shop, shop.launch()["InstanceId"], "iam") is None


def test_a_guest_calls_as_its_role(shop: Shop, iam: Any) -> None:
    profile(iam)
    instance_id = shop.launch(IamInstanceProfile={"Name": "web"})["InstanceId"]
    credentials = credentials_of(shop, instance_id)

    identity = with_credentials(shop.running, "sts", credentials).get_caller_identity()
    reservations = with_credentials(shop.running, "ec2", credentials).describe_instances()["Reservations"]

    role_id = iam.get_role(RoleName="web")["Role"]["RoleId"]
    assert identity["Arn"] == f"arn:aws:sts::{shop.account_id}:assumed-role/web/{instance_id}"
    assert (identity["Account"], identity["UserId"]) == (shop.account_id, f"{role_id}:{instance_id}")
    assert [it["InstanceId"] for it in reservations[0]["Instances"]] == [instance_id]


def test_credentials_without_their_token_or_with_anothers_are_refused(shop: Shop, iam: Any) -> None:
    profile(iam)
    first, second = shop.launch_ids(MinCount=2, MaxCount=2, IamInstanceProfile={"Name": "web"})
    credentials = credentials_of(shop, first)

    for token in (credentials_of(shop, second)["Token"], "none", credentials["Token"][:-4] + "AAAA"):
        with refused("AuthFailure", status=401):
            with_credentials(shop.running, "ec2", {**credentials, "Token": token}).describe_instances()
    key = shop.running.access_key(shop.name)
    lasting = {"AccessKeyId": key.id, "SecretAccessKey": key.secret, "Token": credentials["Token"]}
    with refused("InvalidClientTokenId", status=403):
        with_credentials(shop.running, "sts", lasting).get_caller_identity()


def test_credentials_of_a_deleted_role_are_refused(shop: Shop, iam: Any) -> None:
    profile(iam)
    credentials = credentials_of(shop, shop.launch(IamInstanceProfile={"Name": "web"})["InstanceId"])
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web")
    iam.delete_role(RoleName="web")

    with refused("AuthFailure", status=401):
        with_credentials(shop.running, "ec2", credentials).describe_instances()


def test_a_role_is_assumed(shop: Shop, iam: Any) -> None:
    profile(iam)
    arn = iam.get_role(RoleName="web")["Role"]["Arn"]
    sts = shop.running.client("sts", shop.name)

    answer = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=900)

    identity = with_credentials(shop.running, "sts", answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert identity["Arn"].endswith("assumed-role/web/me")


def test_roles_that_cannot_be_assumed_are_refused(shop: Shop, iam: Any, shared: RunningServer) -> None:
    profile(iam)
    arn = iam.get_role(RoleName="web")["Role"]["Arn"]
    sts = shop.running.client("sts", shop.name)

    with refused("AccessDenied", status=403):
        shared.client("sts", "stranger who wants a role").assume_role(RoleArn=arn, RoleSessionName="me")
    with refused("AccessDenied", status=403):
        sts.assume_role(RoleArn=f"{arn}-none", RoleSessionName="me")
    for members in (
        {"RoleArn": "arn:aws:iam::role/web", "RoleSessionName": "me"},
        {"RoleArn": arn, "RoleSessionName": "a b"},
        {"RoleArn": arn, "RoleSessionName": "me", "DurationSeconds": 43_200},
    ):
        with refused("ValidationError"):
            sts.assume_role(**members)


def test_a_session_stands_for_its_account(shop: Shop) -> None:
    credentials = shop.running.client("sts", shop.name).get_session_token()["Credentials"]

    client = with_credentials(shop.running, "sts", credentials)

    assert client.get_caller_identity()["Arn"] == f"arn:aws:iam::{shop.account_id}:root"
    with refused("AccessDenied", status=403):
        client.get_session_token()
