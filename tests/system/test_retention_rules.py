"""The retention rules of the Recycle Bin service, as boto3 sees them."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.recycling import Account, refused_by_service

DELAY = {"UnlockDelay": {"UnlockDelayValue": 7, "UnlockDelayUnit": "DAYS"}}
STAGE = {"ResourceTagKey": "stage", "ResourceTagValue": "prod"}
SCRATCH = {"ResourceTagKey": "scratch", "ResourceTagValue": ""}


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"bob of {request.node.nodeid}")


def unlocked_long_ago(alice: Account, rule_id: str) -> None:
    """Let the unlock delay of a rule be over."""
    rule = alice.running.server.context.store.retention_rules[rule_id]
    alice.change(replace(rule, unlocks_at=datetime.now(UTC) - timedelta(seconds=1)))


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def test_a_created_rule_is_answered_in_full(alice: Account) -> None:
    answer = alice.rule(
        "EBS_SNAPSHOT",
        14,
        Description="of production",
        ResourceTags=[STAGE, {"ResourceTagKey": "keep"}],
        Tags=[{"Key": "team", "Value": "ops"}],
    )

    assert re.fullmatch("[0-9a-zA-Z]{11}", answer["Identifier"])
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert without_metadata(answer) == {
        "Identifier": answer["Identifier"],
        "RetentionPeriod": {"RetentionPeriodValue": 14, "RetentionPeriodUnit": "DAYS"},
        "Description": "of production",
        "Tags": [{"Key": "team", "Value": "ops"}],
        "ResourceType": "EBS_SNAPSHOT",
        "ResourceTags": [STAGE, {"ResourceTagKey": "keep", "ResourceTagValue": ""}],
        "ExcludeResourceTags": [],
        "Status": "available",
        "RuleArn": f"arn:aws:rbin:us-east-1:{alice.account_id}:rule/{answer['Identifier']}",
    }


def test_a_rule_is_shown_as_it_was_made(alice: Account) -> None:
    made = without_metadata(alice.rule("EBS_VOLUME", 7, Description="d", ExcludeResourceTags=[SCRATCH]))

    shown = without_metadata(alice.rbin.get_rule(Identifier=made["Identifier"]))

    assert shown == {member: value for member, value in made.items() if member != "Tags"}


@pytest.mark.parametrize(
    ("resource_type", "days", "fine"),
    [
        ("EBS_VOLUME", 7, True),
        ("EBS_VOLUME", 8, False),
        ("EBS_SNAPSHOT", 365, True),
        ("EBS_SNAPSHOT", 366, False),
        ("EC2_IMAGE", 365, True),
        ("EC2_IMAGE", 366, False),
    ],
)
def test_a_retention_is_as_long_as_its_type_allows(
    alice: Account, resource_type: str, days: int, *, fine: bool
) -> None:
    if fine:
        alice.rule(resource_type, days)
        return
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rule(resource_type, days)


def test_exclusion_tags_of_a_tag_level_rule_are_refused(alice: Account) -> None:
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rule(ResourceTags=[STAGE], ExcludeResourceTags=[SCRATCH])


@pytest.mark.parametrize("members", [{"ResourceTags": [STAGE]}, {"ExcludeResourceTags": [STAGE]}])
def test_only_plain_region_level_rules_are_locked(alice: Account, members: dict[str, Any]) -> None:
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rule(LockConfiguration=DELAY, **members)
    rule_id = alice.rule(**members)["Identifier"]
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rbin.lock_rule(Identifier=rule_id, LockConfiguration=DELAY)


def test_a_locked_rule_is_not_changed_nor_deleted_until_its_delay_is_over(alice: Account) -> None:
    made = alice.rule(LockConfiguration=DELAY)
    rule_id = made["Identifier"]
    assert (made["LockState"], made["LockConfiguration"]) == ("locked", DELAY)

    def refuses() -> None:
        with refused_by_service("ConflictException", "INVALID_RULE_STATE", status=409):
            alice.rbin.update_rule(Identifier=rule_id, Description="changed")
        with refused_by_service("ConflictException", "INVALID_RULE_STATE", status=409):
            alice.rbin.delete_rule(Identifier=rule_id)

    refuses()
    unlocking = alice.rbin.unlock_rule(Identifier=rule_id)
    assert unlocking["LockState"] == "pending_unlock"
    assert abs(unlocking["LockEndTime"] - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert alice.rbin.get_rule(Identifier=rule_id)["LockEndTime"] == unlocking["LockEndTime"]
    refuses()
    unlocked_long_ago(alice, rule_id)

    changed = alice.rbin.update_rule(Identifier=rule_id, Description="changed")

    assert (changed["Description"], changed["LockState"], "LockEndTime" in changed) == ("changed", "unlocked", False)
    alice.rbin.delete_rule(Identifier=rule_id)


def test_a_rule_is_locked_again_while_its_delay_runs(alice: Account) -> None:
    rule_id = alice.rule()["Identifier"]
    locked = alice.rbin.lock_rule(Identifier=rule_id, LockConfiguration=DELAY)
    assert (locked["LockState"], locked["LockConfiguration"]) == ("locked", DELAY)
    with refused_by_service("ConflictException", "INVALID_RULE_STATE", status=409):
        alice.rbin.lock_rule(Identifier=rule_id, LockConfiguration=DELAY)
    alice.rbin.unlock_rule(Identifier=rule_id)
    longer = {"UnlockDelay": {"UnlockDelayValue": 8, "UnlockDelayUnit": "DAYS"}}
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rbin.lock_rule(Identifier=rule_id, LockConfiguration=longer)

    assert alice.rbin.lock_rule(Identifier=rule_id, LockConfiguration=DELAY)["LockState"] == "locked"
    with refused_by_service("ConflictException", "INVALID_RULE_STATE", status=409):
        alice.rbin.delete_rule(Identifier=rule_id)


def test_only_a_locked_rule_is_unlocked(alice: Account) -> None:
    rule_id = alice.rule()["Identifier"]

    with refused_by_service("ConflictException", "INVALID_RULE_STATE", status=409):
        alice.rbin.unlock_rule(Identifier=rule_id)


def test_an_update_changes_what_it_names_and_nothing_else(alice: Account) -> None:
    rule_id = alice.rule(days=7, Description="old", ResourceTags=[STAGE])["Identifier"]

    period = {"RetentionPeriodValue": 30, "RetentionPeriodUnit": "DAYS"}
    alice.rbin.update_rule(Identifier=rule_id, RetentionPeriod=period)
    alice.rbin.update_rule(Identifier=rule_id, ResourceTags=[SCRATCH], ResourceType="EBS_SNAPSHOT")

    shown = alice.rbin.get_rule(Identifier=rule_id)
    assert (shown["RetentionPeriod"], shown["Description"], shown["ResourceTags"]) == (period, "old", [SCRATCH])


@pytest.mark.parametrize(
    "change",
    [
        {"ResourceType": "EC2_IMAGE"},
        {"ResourceTags": []},
        {"ExcludeResourceTags": [SCRATCH]},
        {"RetentionPeriod": {"RetentionPeriodValue": 366, "RetentionPeriodUnit": "DAYS"}},
    ],
)
def test_an_update_that_makes_another_rule_of_it_is_refused(alice: Account, change: dict[str, Any]) -> None:
    rule_id = alice.rule(ResourceTags=[STAGE])["Identifier"]

    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rbin.update_rule(Identifier=rule_id, **change)


def test_rules_are_listed_by_type_tags_and_lock(alice: Account) -> None:
    tagged = alice.rule(ResourceTags=[STAGE, SCRATCH], Description="tagged")["Identifier"]
    excluding = alice.rule(ExcludeResourceTags=[SCRATCH])["Identifier"]
    locked = alice.rule(LockConfiguration=DELAY)["Identifier"]
    of_images = alice.rule("EC2_IMAGE")["Identifier"]

    def found(resource_type: str = "EBS_SNAPSHOT", **members: Any) -> list[str]:
        rules = alice.rbin.list_rules(ResourceType=resource_type, **members)["Rules"]
        return [rule["Identifier"] for rule in rules]

    assert found() == [tagged, excluding, locked]
    assert found("EC2_IMAGE") == [of_images]
    assert found("EBS_VOLUME") == []
    assert found(ResourceTags=[STAGE]) == [tagged]
    assert found(ResourceTags=[{"ResourceTagKey": "stage", "ResourceTagValue": "test"}]) == []
    assert found(ExcludeResourceTags=[SCRATCH]) == [excluding]
    assert found(LockState="locked") == [locked]
    assert found(LockState="unlocked") == []
    alice.rbin.unlock_rule(Identifier=locked)
    assert found(LockState="pending_unlock") == [locked]
    unlocked_long_ago(alice, locked)
    assert found(LockState="unlocked") == [locked]


def test_a_listed_rule_is_a_summary(alice: Account) -> None:
    made = alice.rule(Description="d", Tags=[{"Key": "a", "Value": "b"}])

    assert alice.rbin.list_rules(ResourceType="EBS_SNAPSHOT")["Rules"] == [
        {
            "Identifier": made["Identifier"],
            "Description": "d",
            "RetentionPeriod": {"RetentionPeriodValue": 7, "RetentionPeriodUnit": "DAYS"},
            "RuleArn": made["RuleArn"],
        }
    ]


def test_rules_come_in_pages(alice: Account) -> None:
    made = [alice.rule()["Identifier"] for _ in range(25)]

    pages = alice.rbin.get_paginator("list_rules").paginate(
        ResourceType="EBS_SNAPSHOT", PaginationConfig={"PageSize": 3}
    )

    assert [rule["Identifier"] for page in pages for rule in page["Rules"]] == made


@pytest.mark.parametrize("token", ["abc", "AAAA", "A" * 2000, "+/+/"])
def test_a_forged_page_token_is_refused(alice: Account, token: str) -> None:
    with refused_by_service("ValidationException", "INVALID_PAGE_TOKEN", status=400):
        alice.rbin.list_rules(ResourceType="EBS_SNAPSHOT", NextToken=token)


def test_a_page_token_of_another_question_is_refused(alice: Account) -> None:
    for _ in range(2):
        alice.rule()
    token = alice.rbin.list_rules(ResourceType="EBS_SNAPSHOT", MaxResults=1)["NextToken"]

    with refused_by_service("ValidationException", "INVALID_PAGE_TOKEN", status=400):
        alice.rbin.list_rules(ResourceType="EC2_IMAGE", NextToken=token)


def test_one_tag_is_in_five_rules_at_the_most(alice: Account) -> None:
    rules = [alice.rule(ResourceTags=[STAGE])["Identifier"] for _ in range(5)]
    other = alice.rule(ResourceTags=[SCRATCH])["Identifier"]

    with refused_by_service("ServiceQuotaExceededException", "SERVICE_QUOTA_EXCEEDED", status=402):
        alice.rule(ResourceTags=[SCRATCH, STAGE])
    with refused_by_service("ServiceQuotaExceededException", "SERVICE_QUOTA_EXCEEDED", status=402):
        alice.rbin.update_rule(Identifier=other, ResourceTags=[STAGE])
    alice.rbin.update_rule(Identifier=rules[0], ResourceTags=[STAGE], Description="still one of the five")
    alice.rbin.delete_rule(Identifier=rules[0])
    alice.rule(ResourceTags=[STAGE])


def test_an_account_has_250_rules_in_a_region_at_the_most(alice: Account) -> None:
    made = alice.running.server.context.store.retention_rules[alice.rule("EC2_IMAGE")["Identifier"]]
    for number in range(249):
        alice.change(replace(made, id=f"{number:011}"))

    with refused_by_service("ServiceQuotaExceededException", "SERVICE_QUOTA_EXCEEDED", status=402):
        alice.rule()


def test_a_rule_is_tagged_listed_and_untagged(alice: Account) -> None:
    arn = alice.rule(Tags=[{"Key": "a", "Value": "1"}])["RuleArn"]

    alice.rbin.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b c", "Value": ""}])
    tags = alice.rbin.list_tags_for_resource(ResourceArn=arn)["Tags"]
    alice.rbin.untag_resource(ResourceArn=arn, TagKeys=["b c", "none"])

    assert tags == [{"Key": "a", "Value": "2"}, {"Key": "b c", "Value": ""}]
    assert alice.rbin.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}]


def test_a_rule_has_50_tags_at_the_most_and_none_of_amazons(alice: Account) -> None:
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    arn = alice.rule(Tags=many)["RuleArn"]

    with refused_by_service("ServiceQuotaExceededException", "SERVICE_QUOTA_EXCEEDED", status=402):
        alice.rbin.tag_resource(ResourceArn=arn, Tags=[{"Key": "one more", "Value": ""}])
    with refused_by_service("ServiceQuotaExceededException", "SERVICE_QUOTA_EXCEEDED", status=402):
        alice.rule(Tags=[*many, {"Key": "one more", "Value": ""}])
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rule(Tags=[{"Key": "aws:x", "Value": ""}])
    with refused_by_service("ValidationException", "INVALID_PARAMETER_VALUE", status=400):
        alice.rule(Tags=[{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}])


OF_ONE_RULE: dict[str, dict[str, Any]] = {
    "get_rule": {},
    "update_rule": {"Description": "mine"},
    "delete_rule": {},
    "lock_rule": {"LockConfiguration": DELAY},
    "unlock_rule": {},
}
OF_TAGS: dict[str, dict[str, Any]] = {
    "tag_resource": {"Tags": [{"Key": "a", "Value": "b"}]},
    "untag_resource": {"TagKeys": ["a"]},
    "list_tags_for_resource": {},
}


@pytest.mark.parametrize("operation", OF_ONE_RULE)
def test_a_rule_that_is_not_there_is_not_found(alice: Account, operation: str) -> None:
    with refused_by_service("ResourceNotFoundException", "RULE_NOT_FOUND", status=404):
        getattr(alice.rbin, operation)(Identifier="abcdefghijk", **OF_ONE_RULE[operation])


@pytest.mark.parametrize("operation", OF_ONE_RULE)
def test_the_rule_of_another_account_is_not_found(alice: Account, bob: Account, operation: str) -> None:
    rule_id = bob.rule()["Identifier"]

    with refused_by_service("ResourceNotFoundException", "RULE_NOT_FOUND", status=404):
        getattr(alice.rbin, operation)(Identifier=rule_id, **OF_ONE_RULE[operation])


@pytest.mark.parametrize("operation", OF_TAGS)
def test_the_tags_of_another_accounts_rule_are_not_found(alice: Account, bob: Account, operation: str) -> None:
    arn = bob.rule()["RuleArn"]

    for wanted in (arn, arn.replace(bob.account_id, alice.account_id)):
        with refused_by_service("ResourceNotFoundException", "RULE_NOT_FOUND", status=404):
            getattr(alice.rbin, operation)(ResourceArn=wanted, **OF_TAGS[operation])


def test_a_rule_is_of_its_region_alone(alice: Account, shared: RunningServer, request: pytest.FixtureRequest) -> None:
    elsewhere = Account(shared, f"alice of {request.node.nodeid}", "eu-west-1")
    rule_id = elsewhere.rule()["Identifier"]

    assert alice.rbin.list_rules(ResourceType="EBS_SNAPSHOT")["Rules"] == []
    with refused_by_service("ResourceNotFoundException", "RULE_NOT_FOUND", status=404):
        alice.rbin.get_rule(Identifier=rule_id)
