"""The register of operations, against the model that clients have."""

from typing import Any

import pytest

from bakehouse.domain.errors import Ec2Error
from bakehouse.ec2.operations import OPERATIONS
from bakehouse.ec2.registry import Members, members, operation
from bakehouse.protocol.model import ServiceModel, Shape

EC2 = ServiceModel.load("ec2")
KNOWN = sorted(name for name in OPERATIONS if EC2.operation(name) is not None)


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


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_honoured_is_in_the_model(name: str) -> None:
    model = EC2.operation(name)
    assert model is not None

    assert model.input_shape is None or unknown(OPERATIONS[name].honours, model.input_shape, name) == []


@pytest.mark.parametrize("name", KNOWN)
def test_what_the_model_requires_is_honoured(name: str) -> None:
    model = EC2.operation(name)
    assert model is not None
    required = set() if model.input_shape is None else model.input_shape.required

    assert required <= OPERATIONS[name].honours.tree.keys() | {model.client_token_member}


@pytest.mark.parametrize("name", KNOWN)
def test_a_client_token_can_be_answered_again(name: str) -> None:
    model = EC2.operation(name)
    assert model is not None

    assert model.client_token_member is None or OPERATIONS[name].replay is not None


def test_every_operation_is_one_of_ec2_or_sts() -> None:
    assert {name for name in OPERATIONS if EC2.operation(name) is None} == {"GetCallerIdentity"}


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
        honoured.refuse_others(request_)
        return
    with pytest.raises(Ec2Error, match=f"UnsupportedOperation: The parameter {refused} "):
        honoured.refuse_others(request_)


def test_an_operation_has_one_handler() -> None:
    with pytest.raises(ValueError, match="two handlers"):
        operation("RunInstances")(OPERATIONS["RunInstances"].handler)
