"""The register of operations, against the model that clients have."""

from typing import Any

import pytest

from bakehouse.domain.errors import Ec2Error
from bakehouse.ec2.operations import OPERATIONS, SERVICES
from bakehouse.ec2.registry import Members, Operation, members, operation
from bakehouse.protocol.model import API_VERSIONS, ServiceModel, Shape

MODELS: dict[str, ServiceModel] = {service: ServiceModel.load(service) for service in API_VERSIONS}
KNOWN = sorted((service, name) for service, operations in SERVICES.items() for name in operations)


def unknown(tree: Members, shape: Shape, path: str) -> list[str]:
    """Return the members that are honoured and that the shape does not have."""
    while shape.type == "list":
        shape = shape.element.shape
    found = []
    for name, inner in tree.tree.items():
        if name not in shape.members:
            found.append(f"{path}.{name}")
        else:
            found += unknown(inner, shape.members[name].shape, f"{path}.{name}")
    return found


def described(service: str, name: str) -> tuple[Operation, Any]:
    """An operation as it is registered, and its model."""
    model = MODELS[service].operation(name)
    assert model is not None, "it is no operation of the service"
    return SERVICES[service][name], model


@pytest.mark.parametrize(("service", "name"), KNOWN)
def test_what_is_honoured_is_in_the_model(service: str, name: str) -> None:
    registered, model = described(service, name)

    assert model.input_shape is None or unknown(registered.honours, model.input_shape, name) == []


@pytest.mark.parametrize(("service", "name"), KNOWN)
def test_what_the_model_requires_is_honoured(service: str, name: str) -> None:
    registered, model = described(service, name)
    required = set() if model.input_shape is None else model.input_shape.required

    assert required <= registered.honours.tree.keys() | {model.client_token_member}


@pytest.mark.parametrize(("service", "name"), KNOWN)
def test_a_client_token_can_be_answered_again(service: str, name: str) -> None:
    registered, model = described(service, name)

    assert model.client_token_member is None or registered.replay is not None


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        ({"A": 1}, None),
        ({"B": {"C": 1}}, None),
        ({"B": [{"C": 1}, {"C": 2}]}, None),
        ({"A": {"anything": 1}}, None),
        ({"D": 1}, "D"),
        ({"B": {"D": 1}}, "B.D"),
        ({"B": [{"C": 1}, {"D": 2}]}, "B.D"),
    ],
)
def test_a_member_that_is_not_honoured_is_refused_by_its_name(request_: dict[str, Any], refused: str | None) -> None:
    honoured = members("A B.C")

    if refused is None:
        honoured.refuse_others(request_, {})
        return
    with pytest.raises(Ec2Error, match=f"UnsupportedOperation: The parameter {refused} "):
        honoured.refuse_others(request_, {})


def test_a_refusal_says_why_where_a_reason_is_known() -> None:
    with pytest.raises(Ec2Error, match=r"The parameter B\.D is not supported by this endpoint\. There are none\."):
        members("A B.C").refuse_others({"B": {"D": 1}}, {"B.D": "There are none."})


@pytest.mark.parametrize(("service", "name"), KNOWN)
def test_reasons_are_of_members_that_are_refused(service: str, name: str) -> None:
    registered, model = described(service, name)
    refused = members(" ".join(registered.reasons))

    assert set(registered.honours.paths()).isdisjoint(registered.reasons)
    assert model.input_shape is None or unknown(refused, model.input_shape, name) == []


def test_an_operation_has_one_handler() -> None:
    with pytest.raises(ValueError, match="two handlers"):
        operation("RunInstances")(OPERATIONS["RunInstances"].handler)
