"""DryRun: asked of every operation that has it, and nothing happens."""

from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import EC2Serializer
from tests.protocol.model_values import Values
from tests.server import RunningServer
from tests.system.refusals import contents
from tests.system.wire import Wire

from bakehouse.ec2.operations import OPERATIONS

MODEL: Any = ServiceModel(Loader().load_service_model("ec2", "service-2"))
WITH_DRY_RUN = [
    name
    for name in sorted(OPERATIONS)
    if name in MODEL.operation_names and "DryRun" in MODEL.operation_model(name).input_shape.members
]


@pytest.mark.parametrize("name", WITH_DRY_RUN)
def test_a_dry_run_would_succeed_and_does_nothing(wire: Wire, shared: RunningServer, name: str) -> None:
    assert wire.ask("DescribeVpcs").status == 200
    operation = MODEL.operation_model(name)
    parameters = {**Values(name).least(operation.input_shape), "DryRun": True}
    form = EC2Serializer().serialize_to_request(parameters, operation)["body"]
    before = contents(shared)

    answer = wire.ask(name, {key: value for key, value in form.items() if key not in ("Action", "Version")})

    assert (answer.status, answer.code) == (412, "DryRunOperation")
    assert contents(shared) == before


def test_a_parameter_that_is_not_honoured_is_refused_in_a_dry_run_too(wire: Wire) -> None:
    answer = wire.ask("CreateKeyPair", {"KeyName": "k", "KeyFormat": "no", "DryRun": "true"})

    assert answer.code == "InvalidParameterValue"
