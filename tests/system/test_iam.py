"""Roles, instance profiles and policies, as IAM's clients make and read them."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.roles import NO_POLICY, POLICY, READ_ONLY, TRUST, profile
from tests.system.shop import Shop


@pytest.fixture
def iam(shop: Shop) -> Any:
    """A boto3 client of IAM, of the shop's account."""
    return shop.running.client("iam", shop.name)


def test_a_role_is_shown_as_it_was_made(iam: Any) -> None:
    tags = [{"Key": "team", "Value": "ä"}]
    made = iam.create_role(
        RoleName="web", AssumeRolePolicyDocument=TRUST, Path="/app/", Description="serves", Tags=tags
    )["Role"]

    role = iam.get_role(RoleName="web")["Role"]

    assert role["Arn"].endswith(":role/app/web")
    assert role["RoleId"].startswith("AROA")
    assert (role["RoleId"], role["Description"], role["Tags"]) == (made["RoleId"], "serves", tags)
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert [it["RoleName"] for it in iam.list_roles(PathPrefix="/app/")["Roles"]] == ["web"]
    assert iam.list_roles(PathPrefix="/other/")["Roles"] == []


def test_documents_go_over_the_wire_percent_encoded(iam: Any, shop: Shop) -> None:
    profile(iam)
    iam.put_role_policy(RoleName="web", PolicyName="own", PolicyDocument=POLICY)
    raw: list[bytes] = []
    iam.meta.events.register("before-parse.iam", lambda response_dict, **_others: raw.append(response_dict["body"]))

    iam.get_role_policy(RoleName="web", PolicyName="own")

    text = raw[0].decode().partition("<PolicyDocument>")[2].partition("<")[0]
    assert " " not in text
    assert json.loads(unquote(text)) == json.loads(POLICY)
    assert shop.account_id not in text


def test_a_role_changes(iam: Any) -> None:
    profile(iam)
    other = json.dumps({"Statement": [{"Effect": "Deny"}]})

    iam.update_role(RoleName="web", Description="now", MaxSessionDuration=7200)
    iam.update_assume_role_policy(RoleName="web", PolicyDocument=other)
    iam.tag_role(RoleName="web", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_role(RoleName="web", TagKeys=["a"])

    role = iam.get_role(RoleName="web")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("now", 7200)
    assert role["AssumeRolePolicyDocument"] == json.loads(other)
    assert iam.list_role_tags(RoleName="web")["Tags"] == [{"Key": "b", "Value": "2"}]


def test_policies_in_a_role_come_and_go(iam: Any) -> None:
    profile(iam)

    iam.put_role_policy(RoleName="web", PolicyName="own", PolicyDocument=POLICY)
    assert iam.list_role_policies(RoleName="web")["PolicyNames"] == ["own"]
    assert iam.get_role_policy(RoleName="web", PolicyName="own")["PolicyDocument"] == json.loads(POLICY)

    iam.delete_role_policy(RoleName="web", PolicyName="own")
    with refused("NoSuchEntity", status=404):
        iam.get_role_policy(RoleName="web", PolicyName="own")


def test_policies_are_attached_and_detached(iam: Any) -> None:
    profile(iam)
    made = iam.create_policy(PolicyName="own", PolicyDocument=POLICY)["Policy"]["Arn"]

    for arn in (READ_ONLY, made, made):
        iam.attach_role_policy(RoleName="web", PolicyArn=arn)

    attached = iam.list_attached_role_policies(RoleName="web")["AttachedPolicies"]
    assert {it["PolicyName"]: it["PolicyArn"] for it in attached} == {"ReadOnlyAccess": READ_ONLY, "own": made}
    assert iam.get_policy(PolicyArn=made)["Policy"]["AttachmentCount"] == 1
    with refused("DeleteConflict", status=409):
        iam.delete_policy(PolicyArn=made)
    iam.detach_role_policy(RoleName="web", PolicyArn=made)
    iam.delete_policy(PolicyArn=made)
    with refused("NoSuchEntity", status=404):
        iam.detach_role_policy(RoleName="web", PolicyArn=made)


def test_a_policy_shows_its_one_version(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="own", PolicyDocument=POLICY)["Policy"]["Arn"]

    (version,) = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    shown = iam.get_policy_version(PolicyArn=arn, VersionId=version["VersionId"])["PolicyVersion"]

    assert (shown["Document"], shown["IsDefaultVersion"]) == (json.loads(POLICY), True)
    with refused("NoSuchEntity", status=404):
        iam.get_policy_version(PolicyArn=arn, VersionId="v2")


def test_a_role_that_is_needed_is_not_deleted(iam: Any) -> None:
    profile(iam)
    iam.put_role_policy(RoleName="web", PolicyName="own", PolicyDocument=POLICY)
    iam.attach_role_policy(RoleName="web", PolicyArn=READ_ONLY)

    with refused("DeleteConflict", status=409):
        iam.delete_instance_profile(InstanceProfileName="web")
    takes: list[Callable[[], Any]] = [
        lambda: iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web"),
        lambda: iam.delete_role_policy(RoleName="web", PolicyName="own"),
        lambda: iam.detach_role_policy(RoleName="web", PolicyArn=READ_ONLY),
    ]
    for take in takes:
        with refused("DeleteConflict", status=409):
            iam.delete_role(RoleName="web")
        take()
    iam.delete_role(RoleName="web")
    iam.delete_instance_profile(InstanceProfileName="web")
    with refused("NoSuchEntity", status=404):
        iam.get_role(RoleName="web")
    with refused("NoSuchEntity", status=404):
        iam.get_instance_profile(InstanceProfileName="web")


def test_a_profile_has_one_role_and_shows_it(iam: Any) -> None:
    arn = profile(iam)
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=TRUST)

    with refused("LimitExceeded", status=409):
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="other")
    with refused("NoSuchEntity", status=404):
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="other")

    shown = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    assert (shown["Arn"], [it["RoleName"] for it in shown["Roles"]]) == (arn, ["web"])
    listed = iam.list_instance_profiles_for_role(RoleName="web")["InstanceProfiles"]
    assert [it["InstanceProfileName"] for it in listed] == ["web"]
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="web")
    iam.get_waiter("role_exists").wait(RoleName="web")


def test_a_profiles_tags_change(iam: Any) -> None:
    iam.create_instance_profile(InstanceProfileName="web", Tags=[{"Key": "a", "Value": "1"}])

    iam.tag_instance_profile(InstanceProfileName="web", Tags=[{"Key": "b", "Value": "2"}])
    iam.untag_instance_profile(InstanceProfileName="web", TagKeys=["a"])

    assert iam.list_instance_profile_tags(InstanceProfileName="web")["Tags"] == [{"Key": "b", "Value": "2"}]


@pytest.mark.parametrize(
    ("operation", "members", "code", "status"),
    [
        ("create_role", {"RoleName": "WEB", "AssumeRolePolicyDocument": TRUST}, "EntityAlreadyExists", 409),
        ("create_instance_profile", {"InstanceProfileName": "WEB"}, "EntityAlreadyExists", 409),
        ("create_role", {"RoleName": "a b", "AssumeRolePolicyDocument": TRUST}, "ValidationError", 400),
        ("create_role", {"RoleName": "r", "AssumeRolePolicyDocument": "{"}, "MalformedPolicyDocument", 400),
        ("create_role", {"RoleName": "r", "AssumeRolePolicyDocument": "[]"}, "MalformedPolicyDocument", 400),
        ("create_role", {"RoleName": "r", "AssumeRolePolicyDocument": TRUST, "Path": "x"}, "ValidationError", 400),
        (
            "attach_role_policy",
            {"RoleName": "web", "PolicyArn": NO_POLICY},
            "NoSuchEntity",
            404,
        ),
        ("attach_role_policy", {"RoleName": "web", "PolicyArn": "arn:aws:s3:::bucket/x"}, "ValidationError", 400),
        ("get_user", {"UserName": "eve"}, "NoSuchEntity", 404),
        ("list_roles", {"Marker": "?"}, "ValidationError", 400),
        ("create_service_linked_role", {"AWSServiceName": "spot.amazonaws.com"}, "UnsupportedOperation", 400),
    ],
)
def test_what_iam_does_not_take_is_refused(
    iam: Any, operation: str, members: dict[str, Any], code: str, status: int
) -> None:
    profile(iam)

    with refused(code, status=status):
        getattr(iam, operation)(**members)


def test_roles_are_listed_page_by_page(iam: Any) -> None:
    for name in ("c", "a", "b"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)

    pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2}))

    assert [[role["RoleName"] for role in page["Roles"]] for page in pages] == [["a", "b"], ["c"]]


def test_another_account_has_its_own_roles(iam: Any, shared: RunningServer) -> None:
    profile(iam)
    stranger = shared.client("iam", "stranger who wants roles")

    with refused("NoSuchEntity", status=404):
        stranger.get_role(RoleName="web")
    assert stranger.list_instance_profiles()["InstanceProfiles"] == []


def test_an_account_is_its_own_user(iam: Any, shop: Shop) -> None:
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{shop.account_id}:root"
    assert iam.list_account_aliases()["AccountAliases"] == []
