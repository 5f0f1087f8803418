"""The operations of the JSON services, their requests and answers, against botocore's own serializers and parsers."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.awsrequest import HeadersDict, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocol.model_values import Values

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import API_VERSIONS, Service, ServiceModel
from bakehouse.protocol.responses import OutputNotInModel
from bakehouse.protocol.signed_request import SignedRequest
from bakehouse.protocol.wires import Answer, Refusal, wire_of

REQUEST_ID = "2f7c9a4e-5a1f-4c36-9d3e-1c5b0f0a9a77"
SERVICES: list[Service] = ["ebs", "rbin", "ssm"]


@cache
def botocore_model(service: Service) -> Any:
    return BotocoreModel(Loader().load_service_model(service, "service-2", API_VERSIONS[service]))


def names(service: Service) -> list[str]:
    """All operations of a service; of SSM's those about parameters, for the rest has 100 patterns of its own."""
    return [name for name in botocore_model(service).operation_names if service != "ssm" or "Parameter" in name]


OPERATIONS = [(service, name) for service in SERVICES for name in names(service)]


def sent(service: Service, name: str, parameters: Any) -> SignedRequest:
    """The request as botocore sends it, without a signature."""
    model = botocore_model(service)
    described = model.operation_model(name)
    made = create_serializer(model.metadata["protocol"]).serialize_to_request(parameters, described)
    prepare_request_dict(made, "http://127.0.0.1:8773")
    url = urlsplit(made["url"])
    body = made["body"]
    if isinstance(body, dict):
        body = urlencode(body)
    headers = [(key.encode(), str(value).encode()) for key, value in made["headers"].items()]
    return SignedRequest(
        method=made["method"],
        path=url.path.encode(),
        query=url.query.encode(),
        headers=headers,
        body=body if isinstance(body, bytes) else body.encode(),
    )


def understood(service: Service, name: str, answer: Answer) -> Any:
    """What botocore's parser reads in an answer."""
    model = botocore_model(service)
    output = model.operation_model(name).output_shape
    response = received(answer)
    if output is not None and "payload" in output.serialization:
        response["body"] = BytesIO(answer.body)
    parsed = create_parser(model.metadata["protocol"]).parse(response, output)
    parsed.pop("ResponseMetadata")
    return _whole(parsed)


def received(answer: Answer) -> dict[str, Any]:
    return {
        "status_code": answer.status,
        "headers": HeadersDict({key.decode(): value.decode() for key, value in answer.headers}),
        "body": answer.body,
    }


def _whole(value: Any) -> Any:
    if hasattr(value, "read"):
        return value.read()
    if isinstance(value, dict):
        found = {name: _whole(inner) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if inner != b""}
    return value


def answer_value(service: Service, name: str, way: str) -> Any:
    output = botocore_model(service).operation_model(name).output_shape
    return {} if output is None else getattr(Values(f"{way} {name}"), way)(output)


def input_value(service: Service, name: str, way: str) -> Any:
    return getattr(Values(f"{way} {name}"), way)(botocore_model(service).operation_model(name).input_shape)


@pytest.mark.parametrize("way", ["least", "everything"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_a_request_that_botocore_sends_is_read_as_it_was_meant(service: Service, name: str, way: str) -> None:
    parameters = input_value(service, name, way)

    call = wire_of(service).call(sent(service, name, parameters))

    assert call.operation.name == name
    assert call.read() == parameters


@pytest.mark.parametrize("way", ["least", "everything"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_is_read_by_botocore_as_it_was_given(service: Service, name: str, way: str) -> None:
    value = answer_value(service, name, way)
    operation = ServiceModel.load(service).operation(name)
    assert operation is not None

    answer = wire_of(service).answer(operation, value, REQUEST_ID)

    assert understood(service, name, answer) == value
    assert answer.status == botocore_model(service).operation_model(name).http.get("responseCode", 200)


@pytest.mark.parametrize("service", SERVICES)
def test_every_error_of_the_model_reaches_botocores_parser_with_its_status(service: Service) -> None:
    model = botocore_model(service)
    for shape in (model.shape_for(name) for name in model.shape_names):
        if not shape.metadata.get("exception"):
            continue
        refusal = Refusal(shape.name, "because of ä", 418)

        answer = wire_of(service).refusal(refusal, REQUEST_ID)

        parser: Any = create_parser(model.metadata["protocol"])
        parsed = parser.parse(received(answer), None)
        assert parsed["Error"]["Code"] == shape.name
        assert any(name.lower() == "message" for name in shape.members) is (parsed["Error"]["Message"] != "")
        expected = shape.metadata.get("error", {}).get("httpStatusCode", 400)
        assert answer.status == expected or (service == "ssm" and answer.status == 400)


def test_the_reason_of_an_error_is_answered() -> None:
    answer = wire_of("ebs").refusal(
        Refusal("ResourceNotFoundException", "no such snapshot", 400, "SNAPSHOT_NOT_FOUND"), REQUEST_ID
    )

    assert answer.status == 404
    assert json.loads(answer.body) == {"Message": "no such snapshot", "Reason": "SNAPSHOT_NOT_FOUND"}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("SignatureDoesNotMatch", "InvalidSignatureException"),
        ("InvalidClientTokenId", "UnrecognizedClientException"),
        ("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        ("UnsupportedOperation", "UnsupportedOperation"),
    ],
)
def test_a_refusal_of_all_services_has_the_name_that_json_services_give_it(
    service: Service, code: str, named: str
) -> None:
    answer = wire_of(service).refusal(Refusal(code, "no", 403), REQUEST_ID)

    said = dict(answer.headers).get(b"x-amzn-errortype", b"").decode() or json.loads(answer.body)["__type"]
    assert said == named


@pytest.mark.parametrize(
    ("name", "parameters", "code", "said"),
    [
        ("CreateRule", {"ResourceType": "EBS_SNAPSHOT"}, "ValidationException", "Value null at 'retentionPeriod'"),
        (
            "CreateRule",
            {"ResourceType": "A", "RetentionPeriod": {"RetentionPeriodValue": 1, "RetentionPeriodUnit": "DAYS"}},
            "ValidationException",
            "enum value set: [EBS_SNAPSHOT, EBS_VOLUME, EC2_IMAGE]",
        ),
        (
            "CreateRule",
            {"ResourceType": "EC2_IMAGE", "RetentionPeriod": {"RetentionPeriodValue": 4000}},
            "ValidationException",
            "'retentionPeriod.retentionPeriodValue' failed to satisfy constraint: Member must have value less than or",
        ),
        ("ListRules", {"ResourceType": 5}, "SerializationException", "NUMBER_VALUE can not be converted to a String"),
        ("ListRules", {"ResourceType": "EC2_IMAGE", "Owner": 1}, "SerializationException", "Unrecognized field"),
        ("ListRules", {"ResourceType": "EC2_IMAGE", "MaxResults": True}, "SerializationException", "TRUE_VALUE"),
        ("ListRules", {"ResourceType": None}, "ValidationException", "Value null at 'resourceType'"),
        ("ListRules", [], "SerializationException", "Start of list"),
        ("TagResource", {"Tags": [{"Key": "!", "Value": ""}]}, "ValidationException", "regular expression pattern"),
        ("TagResource", {"Tags": [None]}, "ValidationException", "'tags.1.member'"),
    ],
)
def test_a_body_that_does_not_fit_the_model_is_refused(name: str, parameters: Any, code: str, said: str) -> None:
    whole = sent("rbin", name, input_value("rbin", name, "least"))
    request = SignedRequest(whole.method, whole.path, whole.query, whole.headers, json.dumps(parameters).encode())

    with pytest.raises(ProtocolError) as refused:
        wire_of("rbin").call(request).read()

    assert refused.value.code == code
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("method", "path"), [("GET", b"/"), ("DELETE", b"/rules"), ("GET", b"/rules/a/b"), ("BREW", b"/rules")]
)
def test_a_path_without_an_operation_is_refused(method: str, path: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        wire_of("rbin").call(SignedRequest(method, path, b"", [], b""))

    assert (refused.value.code, refused.value.http_status) == ("UnknownOperationException", 404)


@pytest.mark.parametrize("target", ["", "GetParameter", "AmazonSSM", "AmazonEC2.GetParameter", "AmazonSSM.Nothing"])
def test_a_target_without_an_operation_is_refused(target: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        wire_of("ssm").call(SignedRequest("POST", b"/", b"", [(b"X-Amz-Target", target.encode())], b"{}"))

    assert refused.value.code == "UnknownOperationException"


def test_an_unsigned_body_is_taken_only_where_the_model_says_so() -> None:
    unsigned = [(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")]

    wire_of("ebs").call(SignedRequest("PUT", b"/snapshots/snap-0/blocks/1", b"", unsigned, b""))
    with pytest.raises(ProtocolError) as refused:
        wire_of("ebs").call(SignedRequest("POST", b"/snapshots", b"", unsigned, b""))

    assert refused.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("service", SERVICES)
def test_an_answer_with_a_member_that_the_model_does_not_have_is_a_mistake_of_ours(service: Service) -> None:
    operation = ServiceModel.load(service).operation(names(service)[0])
    assert operation is not None

    with pytest.raises(OutputNotInModel):
        wire_of(service).answer(operation, {"Nothing": 1}, REQUEST_ID)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BODY = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a value with every place in it."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in items:
        yield value, place
        yield from places(inner)


@settings(max_examples=settings().max_examples * 5)
@given(operation=st.sampled_from(OPERATIONS), data=st.data())
def test_a_full_request_with_damage_is_read_or_refused(operation: tuple[Service, str], data: st.DataObject) -> None:
    service, name = operation
    request = sent(service, name, input_value(service, name, "everything"))
    path, query, headers, body = request.path, request.query, list(request.headers), request.body
    match data.draw(st.sampled_from(["path", "query", "headers", "body", "json"])):
        case "path":
            cut = data.draw(st.integers(0, len(path)))
            path = path[:cut] + data.draw(st.binary(max_size=4)) + path[cut + data.draw(st.integers(0, 3)) :]
        case "query":
            query = data.draw(st.binary(max_size=20)) + b"&" + query + b"&" + query[: data.draw(st.integers(0, 40))]
        case "headers":
            values = st.binary(max_size=8) | st.sampled_from([b"-1", b"9" * 400, b"NaN", b"true", b""])
            headers = [(key, data.draw(values) if data.draw(st.booleans()) else value) for key, value in headers]
        case "body":
            body = data.draw(BODY)
        case _:
            with suppress(ValueError):
                value = json.loads(body)
                for holder, place in data.draw(st.lists(st.sampled_from(list(places(value)) or [({}, 0)]), max_size=2)):
                    holder[place] = data.draw(JSON)
                body = json.dumps(value).encode()

    with suppress(ProtocolError):
        wire_of(service).call(SignedRequest(request.method, path, query, headers, body)).read()


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE"]),
    path=st.binary(max_size=30) | st.binary(max_size=12).map(lambda tail: b"/snapshots/" + tail),
    query=st.binary(max_size=20),
    body=st.binary(max_size=20),
    service=st.sampled_from(SERVICES),
)
def test_arbitrary_bytes_are_read_or_refused(
    method: str, path: bytes, query: bytes, body: bytes, service: Service
) -> None:
    with suppress(ProtocolError):
        wire_of(service).call(SignedRequest(method, path, query, [(b"x-amz-target", body)], body)).read()
