"""botocore's published cases of the JSON protocols, run backwards: it tests clients with them, we are the server."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.utils import parse_timestamp
from tests.protocol.published_values import as_python

from bakehouse.protocol.model import ServiceModel
from bakehouse.protocol.signed_request import SignedRequest
from bakehouse.protocol.wires import Answer, JsonWire, Refusal, RestWire

VECTORS = Path(__file__).parent / "vectors"
WIRES: dict[str, Any] = {"json": JsonWire, "rest-json": RestWire}

#: Documents, JSON in headers, compressed bodies, endpoints with a path: no service that is answered here has them.
FOREIGN = ("Document", "MediaTypeHeader", "ContentEncoding", "Gzip", "HostWithPath", "jsonvalue", "JsonValue")

NOT_FINITE = {"NaN": "NaN", "Infinity": float("inf"), "-Infinity": float("-inf")}

#: What the client fills in, or sends otherwise than the parameters say: a query that two members claim, a header that
#: is left out because it is empty, a union that is not set.
CLIENTS_OWN = {
    "RestJsonQueryParamsStringListMap",
    "RestJsonQueryPrecedence",
    "RestJsonNullAndEmptyHeaders",
    "RestJsonHttpPayloadWithUnsetUnion",
    "RestJsonHttpPrefixEmptyHeaders",
}


#: What botocore's own parser does not read: it leaves most of these out of its tests. Quotes and dates in a header's
#: list, a map of all headers, a blob that is the body and no stream, a union without a member.
UNREAD = {
    "HttpPrefixHeadersResponse",
    "RestJsonHttpPayloadTraitsWithBlob",
    "RestJsonHttpPayloadTraitsWithNoBlobBody",
    "RestJsonHttpPayloadWithUnsetUnion",
    "RestJsonInputAndOutputWithQuotedStringHeaders",
    "RestJsonInputAndOutputWithTimestampHeaders",
}


def published(file_name: str) -> list[Any]:
    suites = json.loads((VECTORS / file_name).read_text())
    return [
        pytest.param(suite, case, id=case["id"])
        for suite in suites
        for case in suite["cases"]
        if not any(word in case["id"] for word in FOREIGN)
        and not any(shape.get("document") for shape in suite["shapes"].values())
    ]


def described(suite: Any, case: Any) -> tuple[Any, ServiceModel, OperationModel]:
    """Our wire for a case, our model of it and botocore's."""
    description = {
        "metadata": suite["metadata"],
        "shapes": suite["shapes"],
        "operations": {case["given"]["name"]: case["given"]},
    }
    model = ServiceModel.from_description(description)
    return WIRES[model.protocol](model), model, OperationModel(case["given"], BotocoreModel(description))


def received(answer: Answer) -> dict[str, Any]:
    return {
        "status_code": answer.status,
        "headers": HeadersDict({name.decode(): value.decode() for name, value in answer.headers}),
        "body": answer.body,
    }


def comparable(value: Any) -> Any:
    """The same value without what is absent, and with NaN as text, since NaN is not equal to itself."""
    if isinstance(value, dict):
        return {name: comparable(member) for name, member in value.items() if member not in (None, b"", {})}
    if isinstance(value, list):
        return [comparable(element) for element in value]
    if value in NOT_FINITE:
        return NOT_FINITE[value]  # botocore's parser leaves the text
    return "NaN" if value != value else value  # noqa: PLR0124 - the test for NaN


@pytest.mark.parametrize(
    ("suite", "case"),
    [case for case in published("rest_json_input.json") + published("json_input.json") if case.id not in CLIENTS_OWN],
)
def test_a_published_request_is_read_as_its_parameters(suite: Any, case: Any) -> None:
    wire, _, botocore_operation = described(suite, case)
    sent = case["serialized"]
    url = urlsplit(sent["uri"])
    headers = [
        (name.encode(), (", ".join(value) if isinstance(value, list) else value).encode())
        for name, value in sent.get("headers", {}).items()
    ]
    request = SignedRequest(
        sent.get("method", "POST"), url.path.encode(), url.query.encode(), headers, sent.get("body", "").encode()
    )

    call = wire.call(request)

    expected = case.get("params", {})
    if botocore_operation.input_shape is not None:
        expected = as_python(expected, botocore_operation.input_shape)
    parsed = call.read()
    token = call.operation.client_token_member
    if token is not None and token not in expected:
        parsed.pop(token)  # the client fills it in
    assert call.operation.name == case["given"]["name"]
    assert comparable(parsed) == comparable({k: v for k, v in expected.items() if v != [] or k in parsed})


@pytest.mark.parametrize(
    ("suite", "case"),
    [
        case
        for case in published("rest_json_output.json") + published("json_output.json")
        if "error" not in case.values[1] and case.id not in UNREAD
    ],
)
def test_a_published_result_reaches_botocores_parser(suite: Any, case: Any) -> None:
    wire, model, botocore_operation = described(suite, case)
    operation = model.operation(case["given"]["name"])
    result = dict(case.get("result", {}))
    result.pop("ResponseMetadata", None)
    if botocore_operation.output_shape is not None:
        result = as_python(result, botocore_operation.output_shape)

    answer = wire.answer(operation, result, "a-request-id")

    output = botocore_operation.output_shape
    parser: Any = create_parser(model.protocol)
    parser._timestamp_parser = lambda text: parse_timestamp(text).astimezone(UTC)
    parsed = parser.parse(received(answer), output)
    parsed.pop("ResponseMetadata")
    assert comparable(parsed) == comparable(result)


@pytest.mark.parametrize(
    ("suite", "case"),
    [case for case in published("rest_json_output.json") + published("json_output.json") if "error" in case.values[1]],
)
def test_a_published_error_reaches_botocores_parser(suite: Any, case: Any) -> None:
    wire, model, _ = described(suite, case)
    code, message = case["errorCode"], case.get("errorMessage", "Hi")

    answer = wire.refusal(Refusal(code, message, 400), "a-request-id")

    parser: Any = create_parser(model.protocol)
    parsed = parser.parse(received(answer), None)
    shape = model.error(code)
    has_message = shape is None or any(name.lower() == "message" for name in shape.members)
    assert parsed["Error"] == {"Code": code, "Message": message if has_message else ""}
