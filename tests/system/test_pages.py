"""Lists in pages: sizes, tokens, and what changes between two pages."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


class Groups:
    """Twelve security groups beside the default one, listed five at a time."""

    def __init__(self, client: "EC2Client") -> None:
        self.client = client
        self.ids = [
            client.create_security_group(GroupName=f"g{number}", Description="d")["GroupId"] for number in range(12)
        ]
        self.every = [group["GroupId"] for group in client.describe_security_groups()["SecurityGroups"]]

    def page(self, token: str = "", **how: Any) -> tuple[list[str], str]:
        answer = self.client.describe_security_groups(MaxResults=5, NextToken=token, **how)
        return [group["GroupId"] for group in answer["SecurityGroups"]], answer.get("NextToken", "")


@pytest.fixture
def groups(alice: "EC2Client") -> Groups:
    return Groups(alice)


def test_pages_hold_everything_once_in_order(groups: Groups) -> None:
    first, token = groups.page()
    second, token = groups.page(token)
    third, token = groups.page(token)

    assert first + second + third == groups.every
    assert [len(first), len(second), len(third)] == [5, 5, 3]
    assert token == ""


def test_without_a_size_the_answer_is_whole(groups: Groups) -> None:
    answer = groups.client.describe_security_groups()

    assert len(answer["SecurityGroups"]) == 13
    assert "NextToken" not in answer


def test_a_last_page_that_is_full_has_no_token(groups: Groups) -> None:
    answer = groups.client.describe_security_groups(MaxResults=13)

    assert len(answer["SecurityGroups"]) == 13
    assert "NextToken" not in answer


def test_pages_are_of_what_the_filters_leave(groups: Groups) -> None:
    wanted = [{"Name": "group-name", "Values": ["g*"]}]

    first, token = groups.page(Filters=wanted)
    second, token = groups.page(token, Filters=wanted)
    third, _ = groups.page(token, Filters=wanted)

    assert first + second + third == groups.ids


@pytest.mark.parametrize("size", ["-1", "0", "4", "1001", "9999999999", "five"])
@pytest.mark.parametrize(
    "operation", ["DescribeSecurityGroups", "DescribeTags"]
)  # the second has no limits in the model
def test_a_size_outside_the_operation_s_limits_is_refused(wire: Wire, operation: str, size: str) -> None:
    assert wire.ask(operation, {"MaxResults": size}).code == "InvalidParameterValue"


def test_ids_and_a_size_exclude_each_other(groups: Groups) -> None:
    with refused("InvalidParameterCombination"):
        groups.client.describe_security_groups(GroupIds=groups.ids, MaxResults=5)


@pytest.mark.parametrize("token", ["x", "AAAA", "ä", "a" * 5000, "-"])
def test_a_token_that_was_not_given_out_is_refused(alice: "EC2Client", token: str) -> None:
    with refused("InvalidNextToken"):
        alice.describe_security_groups(MaxResults=5, NextToken=token)


def test_a_token_of_another_question_is_refused(groups: Groups) -> None:
    _, token = groups.page()

    with refused("InvalidNextToken"):
        groups.page(token, Filters=[{"Name": "group-name", "Values": ["g*"]}])
    with refused("InvalidNextToken"):
        groups.client.describe_security_group_rules(MaxResults=5, NextToken=token)


def test_a_token_of_another_account_or_region_is_refused(
    groups: Groups, bob: "EC2Client", shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    _, token = groups.page()

    with refused("InvalidNextToken"):
        bob.describe_security_groups(MaxResults=5, NextToken=token)
    with refused("InvalidNextToken"):
        shared.ec2(f"alice of {request.node.nodeid}", "eu-west-1").describe_security_groups(
            MaxResults=5, NextToken=token
        )


@pytest.mark.parametrize("gone", [[4], [0], [3, 4], [5], [0, 1, 2, 3, 4]])
def test_what_was_deleted_between_pages_shifts_nothing(groups: Groups, gone: list[int]) -> None:
    own = [{"Name": "group-name", "Values": ["g*"]}]
    shown, token = groups.page(Filters=own)
    for place in gone:
        groups.client.delete_security_group(GroupId=groups.ids[place])

    second, token = groups.page(token, Filters=own)
    third, _ = groups.page(token, Filters=own)

    left = [group_id for place, group_id in enumerate(groups.ids) if place not in gone]
    assert second + third == [group_id for group_id in left if group_id not in shown]


def test_what_was_made_between_pages_is_on_a_later_one(groups: Groups) -> None:
    _, token = groups.page()
    new = groups.client.create_security_group(GroupName="new", Description="d")["GroupId"]

    _, token = groups.page(token)
    third, _ = groups.page(token)

    assert third[-1] == new


def test_the_longest_tags_can_be_paged(alice: "EC2Client") -> None:
    vpc_id = alice.describe_vpcs()["Vpcs"][0]["VpcId"]
    keys = ["\N{PILE OF POO}" * 126 + str(number) for number in range(10, 22)]
    alice.create_tags(Resources=[vpc_id], Tags=[{"Key": key, "Value": ""} for key in keys])

    pages = alice.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5})

    assert [tag["Key"] for page in pages for tag in page["Tags"]] == keys
