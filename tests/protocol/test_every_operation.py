"""All operations of the model, their requests and answers, against botocore's own serializer and parser."""

from datetime import UTC
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import EC2QueryParser, QueryParser
from botocore.serialize import EC2Serializer, QuerySerializer
from botocore.utils import parse_timestamp
from tests.protocol.model_values import Values
from tests.protocol.xml_conformance import assert_conforms

from bakehouse.protocol.form import decode_form
from bakehouse.protocol.model import API_VERSIONS, Operation, Service, ServiceModel
from bakehouse.protocol.requests import COMMON_PARAMETERS, parse_request
from bakehouse.protocol.responses import serialize_response

REQUEST_ID = "2f7c9a4e-5a1f-4c36-9d3e-1c5b0f0a9a77"


@cache
def model(service: Service) -> ServiceModel:
    return ServiceModel.load(service)


@cache
def botocore_model(service: Service) -> Any:
    return BotocoreModel(Loader().load_service_model(service, "service-2", API_VERSIONS[service]))


def operations(service: Service) -> list[tuple[Operation, Any]]:
    pairs = []
    for name in botocore_model(service).operation_names:
        operation = model(service).operation(name)
        assert operation is not None
        pairs.append((operation, botocore_model(service).operation_model(name)))
    return pairs


def sent_by(serializer: Any, parameters: Any, botocore_operation: Any) -> list[tuple[str, str]]:
    body = serializer.serialize_to_request(parameters, botocore_operation)["body"]
    return decode_form(urlencode(body).encode())


def read_by(parser: Any, body: bytes, botocore_operation: Any) -> Any:
    answer = {"body": body, "headers": {}, "status_code": 200}
    parsed = parser(timestamp_parser=lambda text: parse_timestamp(text).astimezone(UTC)).parse(
        answer, botocore_operation.output_shape
    )
    assert parsed.pop("ResponseMetadata")["RequestId"] == REQUEST_ID
    return parsed


@pytest.mark.parametrize("way", ["least", "everything"])
def test_every_ec2_request_that_botocore_sends_is_read_as_it_was_meant(way: str) -> None:
    for operation, botocore_operation in operations("ec2"):
        parameters = getattr(Values(f"{way} {operation.name}"), way)(botocore_operation.input_shape)

        form = sent_by(EC2Serializer(), parameters, botocore_operation)

        assert parse_request(operation, form) == parameters, operation.name


@pytest.mark.parametrize("way", ["least", "everything"])
def test_every_ec2_answer_is_read_by_botocore_as_it_was_given(way: str) -> None:
    for operation, botocore_operation in operations("ec2"):
        answer: dict[str, Any] = {}
        if botocore_operation.output_shape is not None:
            answer = getattr(Values(f"{way} {operation.name}"), way)(botocore_operation.output_shape)

        body = serialize_response(operation, answer, REQUEST_ID)

        assert read_by(EC2QueryParser, body, botocore_operation) == answer, operation.name
        assert_conforms(body, operation.name, botocore_operation.output_shape)


def test_every_sts_operation_is_read_and_answered_in_the_query_protocol() -> None:
    for operation, botocore_operation in operations("sts"):
        values = Values(operation.name)
        parameters = values.everything(botocore_operation.input_shape)
        answer = values.everything(botocore_operation.output_shape)

        form = sent_by(QuerySerializer(), parameters, botocore_operation)
        body = serialize_response(operation, answer, REQUEST_ID)

        assert parse_request(operation, form) == parameters, operation.name
        assert read_by(QueryParser, body, botocore_operation) == answer, operation.name


def test_no_operation_has_a_parameter_named_like_one_of_the_query_itself() -> None:
    names = {
        member.request_name
        for operation, _ in operations("ec2")
        if operation.input_shape
        for member in operation.input_shape.members.values()
    }

    assert not names & COMMON_PARAMETERS


def test_no_answer_has_a_member_beside_the_request_id_of_the_same_name() -> None:
    tags = {
        member.response_name
        for operation, _ in operations("ec2")
        if operation.output_shape
        for member in operation.output_shape.members.values()
    }

    assert "requestId" not in tags
