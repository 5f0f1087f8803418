"""Whatever a request holds, it is read or refused with an EC2 error; never anything else."""

from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urlencode

from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.serialize import EC2Serializer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocol.model_values import Values

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.form import decode_form
from bakehouse.protocol.model import ServiceModel
from bakehouse.protocol.requests import parse_request

EC2 = ServiceModel.load("ec2")
NAMES = sorted(EC2.operation_names)

NASTY = st.sampled_from(
    [
        "", " ", "0", "-1", "1e309", "NaN", "9" * 400, "true", "null", "%00", "\x00", "\ud800", "\ufffe", "i-0123",
        "..", "=", "2026-11-23T06:18:09Z", "0000-00-00", "9999-12-31T23:59:59-23:59", "1e400", "QQ==", "Q", "∞",
        "\u0661", "a" * 5000,
    ]
)  # fmt: skip
TEXT = NASTY | st.text(max_size=20)
PART = st.sampled_from(
    ["1", "0", "01", "999999999", "9999999999", "-1", "", "Key", "Name", "Value", "Add", "1.1"]
) | st.text(max_size=4)


@cache
def botocore_model() -> Any:
    return BotocoreModel(Loader().load_service_model("ec2", "service-2"))


def a_full_request(name: str) -> list[tuple[str, str]]:
    botocore_operation = botocore_model().operation_model(name)
    parameters = Values(name).everything(botocore_operation.input_shape)
    return decode_form(urlencode(EC2Serializer().serialize_to_request(parameters, botocore_operation)["body"]).encode())


def read_or_refuse(name: str, pairs: list[tuple[str, str]]) -> None:
    operation = EC2.operation(name)
    assert operation is not None
    with suppress(ProtocolError):
        parse_request(operation, pairs)


@settings(max_examples=settings().max_examples * 15)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_full_request_with_damage_is_read_or_refused(name: str, data: st.DataObject) -> None:
    pairs = a_full_request(name)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(pairs) - 1))
        parameter, value = pairs[index]
        parts = parameter.split(".")
        match data.draw(st.sampled_from(["value", "cut", "grow", "part", "twice", "gone"])):
            case "value":
                pairs[index] = (parameter, data.draw(TEXT))
            case "cut":
                pairs[index] = (".".join(parts[:-1]), value)
            case "grow":
                pairs[index] = (f"{parameter}.{data.draw(PART)}", value)
            case "part":
                parts[data.draw(st.integers(0, len(parts) - 1))] = data.draw(PART)
                pairs[index] = (".".join(parts), value)
            case "twice":
                pairs.append((parameter, data.draw(TEXT)))
            case _:
                del pairs[index]
                pairs.append(("DryRun", "true"))

    read_or_refuse(name, pairs)


@settings(max_examples=settings().max_examples * 3)
@given(
    name=st.sampled_from(NAMES), pairs=st.lists(st.tuples(st.lists(PART, max_size=5).map(".".join), TEXT), max_size=8)
)
def test_arbitrary_parameters_are_read_or_refused(name: str, pairs: list[tuple[str, str]]) -> None:
    read_or_refuse(name, pairs)


@given(data=st.binary(max_size=200))
def test_an_arbitrary_body_is_decoded_or_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        decode_form(data)
