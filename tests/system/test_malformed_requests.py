"""Whatever is asked: never an internal error. What is refused leaves nothing behind, what is done a sound world."""

import random
import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.protocol.xml_conformance import assert_conforms, assert_is_error_document
from tests.system.guesses import Guesses, known_ids
from tests.system.in_process import InProcess
from tests.system.wire import Answer
from tests.system.worlds import Worlds

from bakehouse.ec2.filters import Filters
from bakehouse.ec2.operations import OPERATIONS
from bakehouse.protocol.model import ServiceModel

MODEL = ServiceModel.load("ec2")
BOTOCORE: Any = BotocoreModel(Loader().load_service_model("ec2", "service-2"))
NAMES = sorted(name for name in OPERATIONS if MODEL.operation(name) is not None)
FILTER_NAMES = sorted(
    {
        name
        for path, module in list(sys.modules.items())
        if path.startswith("bakehouse.ec2.")
        for value in vars(module).values()
        if isinstance(value, Filters)
        for name in value.names
    }
)

MUTATING = [name for name in NAMES if not name.startswith(("Describe", "Get"))]

#: What the server may say when it can do nothing about it; everything else with status 5xx is a defect.
CAPACITY = {"InsufficientInstanceCapacity", "InsufficientAddressCapacity"}

SIDE_BY_SIDE = 25


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    made = Worlds()
    yield made
    made.close()


def guess(server: InProcess, name: str, seed: int) -> tuple[str, list[tuple[str, str]]]:
    """Return an operation's request; one in ten tries what is another account's."""
    model = MODEL.operation(name)
    assert model is not None
    known = known_ids(server.contents(), None if seed % 10 == 0 else server.key("alice").account_id)
    return name, Guesses(seed, known, FILTER_NAMES).request(OPERATIONS[name], model)


def assert_proper(answer: Answer, request: tuple[str, list[tuple[str, str]]]) -> None:
    """Assert that an answer is what EC2 could have said."""
    if answer.status == HTTPStatus.OK:
        assert_conforms(answer.body, request[0], BOTOCORE.operation_model(request[0]).output_shape)
        return
    assert_is_error_document(answer.body)
    assert answer.status < HTTPStatus.INTERNAL_SERVER_ERROR or answer.code in CAPACITY, request
    assert answer.code != "InternalError"


@pytest.mark.timeout(0)
@settings(max_examples=settings().max_examples * 5, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**64))
def test_a_request_is_answered_and_leaves_a_sound_world_or_refused_and_leaves_nothing(
    worlds: Worlds, name: str, seed: int
) -> None:
    server = worlds.current()
    before, versions = server.contents(), server.versions()
    request = guess(server, name, seed)

    answer = server.ask(*request)

    assert_proper(answer, request)
    if answer.status == HTTPStatus.OK:
        server.assert_sound()
    elif server.versions() != versions:
        assert server.contents() == before, request


@pytest.mark.timeout(0)
@settings(max_examples=max(10, settings().max_examples // 10), suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**64))
def test_requests_side_by_side_leave_a_sound_world(worlds: Worlds, seed: int) -> None:
    choice = random.Random(seed)
    server = worlds.current(requests=SIDE_BY_SIDE)
    requests = [guess(server, choice.choice(MUTATING), choice.getrandbits(64)) for _ in range(SIDE_BY_SIDE)]

    answers = server.ask_at_once(requests)

    for answer, request in zip(answers, requests, strict=True):
        assert_proper(answer, request)
    server.assert_sound()
