"""botocore's published EC2 protocol cases, run backwards: it tests clients with them, we are the server."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.model import OperationModel
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import EC2QueryParser
from botocore.utils import parse_timestamp
from tests.protocol.published_values import as_python

from bakehouse.protocol.errors import error_document
from bakehouse.protocol.form import decode_form
from bakehouse.protocol.model import Operation, ServiceModel
from bakehouse.protocol.requests import parse_request
from bakehouse.protocol.responses import serialize_response

#: Members of a published result that botocore's own parser cannot read back (it leaves the case out of its
#: tests), and maps, which neither EC2's nor STS's model has.
LEFT_OUT = {
    "Ec2XmlLists": {"flattenedList", "flattenedList2"},
    "Ec2XmlEnums": {"fooEnumMap"},
    "Ec2XmlIntEnums": {"intEnumMap"},
}

VECTORS = Path(__file__).parent / "vectors"


def published(file_name: str) -> list[Any]:
    suites = json.loads((VECTORS / file_name).read_text())
    return [pytest.param(suite, case, id=case["id"]) for suite in suites for case in suite["cases"]]


def described(suite: Any, case: Any) -> tuple[Operation, OperationModel]:
    """Our operation of a case and botocore's own view of it."""
    description = {
        "metadata": {"xmlNamespace": "https://example.com", **suite["metadata"]},
        "shapes": suite["shapes"],
        "operations": {case["given"]["name"]: case["given"]},
    }
    operation = ServiceModel.from_description(description).operation(case["given"]["name"])
    assert operation is not None
    return operation, OperationModel(case["given"], BotocoreModel(description))


def comparable(value: Any) -> Any:
    """The same value with NaN as text, since NaN is not equal to itself."""
    if isinstance(value, dict):
        return {name: comparable(member) for name, member in value.items()}
    return "NaN" if value != value else value  # noqa: PLR0124 - the test for NaN


@pytest.mark.parametrize(
    ("suite", "case"),
    # without those that are about the headers of a compressed body
    [case for case in published("ec2_input.json") if "body" in case.values[1]["serialized"]],
)
def test_a_published_request_is_read_as_its_parameters(suite: Any, case: Any) -> None:
    operation, botocore_operation = described(suite, case)
    form = decode_form(case["serialized"]["body"].encode())

    parsed = parse_request(operation, form)

    expected = case["params"]
    if botocore_operation.input_shape is not None:
        expected = as_python(expected, botocore_operation.input_shape)
        # The client fills in an idempotency token; an empty list is not sent.
        token = operation.client_token_member
        if token is not None:
            expected[token] = parse_qs(case["serialized"]["body"])["Token"][0]
    assert comparable(parsed) == comparable({name: value for name, value in expected.items() if value != []})


@pytest.mark.parametrize(
    ("suite", "case"), [case for case in published("ec2_output.json") if "error" not in case.values[1]]
)
def test_a_published_result_reaches_botocores_parser(suite: Any, case: Any) -> None:
    operation, botocore_operation = described(suite, case)
    left_out = LEFT_OUT.get(case["id"], set())
    result = {name: value for name, value in case["result"].items() if name not in left_out}
    if botocore_operation.output_shape is not None:
        result = as_python(result, botocore_operation.output_shape)

    body = serialize_response(operation, result, "a-request-id")

    answer = {"body": body, "headers": {}, "status_code": 200}
    parser: Any = EC2QueryParser(timestamp_parser=lambda text: parse_timestamp(text).astimezone(UTC))
    parsed = parser.parse(answer, botocore_operation.output_shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "a-request-id"
    assert comparable(parsed) == comparable(result)


@pytest.mark.parametrize(
    ("suite", "case"), [case for case in published("ec2_output.json") if "error" in case.values[1]]
)
def test_a_published_error_reaches_botocores_parser(suite: Any, case: Any) -> None:  # noqa: ARG001
    code, message = case.get("errorCode", "ComplexError"), case.get("errorMessage", "Hi")

    body = error_document(code, message, "a-request-id")

    parser: Any = EC2QueryParser()
    parsed = parser.parse({"body": body, "headers": {}, "status_code": 400}, None)
    assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == (code, message)
    assert parsed["ResponseMetadata"]["RequestId"] == "a-request-id"
