"""Whatever is asked: never an internal error. What is refused leaves nothing behind, what is done a sound world."""

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.protocol.xml_conformance import assert_conforms, assert_is_error_document
from tests.system.guesses import Guesses, known_ids
from tests.system.in_process import InProcess, in_process

from bakehouse.ec2 import (
    images,
    instance_filters,
    instance_types,
    key_pairs,
    networks,
    regions,
    security_groups,
    snapshots,
    tags,
    volumes,
)
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.operations import OPERATIONS
from bakehouse.protocol.model import ServiceModel

MODEL = ServiceModel.load("ec2")
BOTOCORE: Any = BotocoreModel(Loader().load_service_model("ec2", "service-2"))
NAMES = sorted(name for name in OPERATIONS if MODEL.operation(name) is not None)
MODULES = [
    images,
    instance_filters,
    instance_types,
    key_pairs,
    networks,
    regions,
    security_groups,
    snapshots,
    tags,
    volumes,
]
FILTER_NAMES = sorted(
    {
        name
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, Filters)
        for name in value.names
    }
)

#: What the server may say when it can do nothing about it; everything else with status 5xx is a defect.
CAPACITY = {"InsufficientInstanceCapacity", "InsufficientAddressCapacity"}

#: After so many requests a world is drained: most of what it had is deleted.
REQUESTS_PER_WORLD = 150


class Worlds:
    """A server with a little of everything; another one after a while."""

    def __init__(self) -> None:
        self._asked = REQUESTS_PER_WORLD
        self._context: Any = None

    def current(self) -> InProcess:
        if self._asked >= REQUESTS_PER_WORLD:
            self.close()
            self._asked = 0
            self._folder = tempfile.TemporaryDirectory()
            self._context = in_process(Path(self._folder.name) / "home")
            self._server: InProcess = self._context.__enter__()
            furnish(self._server, Path(self._folder.name) / "disk.raw")
        self._asked += 1
        return self._server

    def close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._folder.cleanup()
            gc.collect()


def furnish(server: InProcess, disk: Path) -> None:
    """Give two accounts an instance that runs, one that does not, and one of everything else."""
    with disk.open("wb") as file:
        file.truncate(2**30)
    for account in ("alice", "bob"):
        image_id = server.import_image(account, disk, "test")
        launch = [("ImageId", image_id), ("MinCount", "2"), ("MaxCount", "2")]
        launched = server.ask("RunInstances", launch, account=account).texts("instanceId")
        for action, parameters in [
            ("CreateKeyPair", {"KeyName": "word", "KeyType": "ed25519"}),
            ("CreateSecurityGroup", {"GroupName": "web", "GroupDescription": "d"}),
            ("CreateVolume", {"AvailabilityZone": "us-east-1a", "Size": "1"}),
            ("StopInstances", {"InstanceId.1": launched[1], "Force": "true"}),
            ("CreateImage", {"InstanceId": launched[1], "Name": "made"}),
        ]:
            answer = server.ask(action, list(parameters.items()), account=account)
            assert answer.status == 200, answer


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    made = Worlds()
    yield made
    made.close()


@pytest.mark.timeout(0)
@settings(max_examples=settings().max_examples * 5, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**64))
def test_a_request_is_answered_and_leaves_a_sound_world_or_refused_and_leaves_nothing(
    worlds: Worlds, name: str, seed: int
) -> None:
    model = MODEL.operation(name)
    assert model is not None
    server = worlds.current()
    before, versions = server.contents(), server.versions()
    # One in ten tries what is another account's.
    known = known_ids(before, None if seed % 10 == 0 else server.key("alice").account_id)
    pairs = Guesses(seed, known, FILTER_NAMES).request(OPERATIONS[name], model)

    answer = server.ask(name, pairs)

    if answer.status == 200:
        assert_conforms(answer.body, name, BOTOCORE.operation_model(name).output_shape)
        server.assert_sound()
        return
    assert_is_error_document(answer.body)
    assert answer.status < 500 or answer.code in CAPACITY, (name, pairs)
    assert answer.code != "InternalError"
    if server.versions() != versions:
        assert server.contents() == before, (name, pairs)
