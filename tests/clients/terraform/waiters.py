"""How Terraform's AWS provider waits: wait.go and status.go of internal/service/ec2."""

import time
from collections.abc import Callable
from typing import Final

from botocore.exceptions import ClientError
from tests.clients.terraform.refusals import NotFoundError

#: The provider waits for minutes. What is asked here answers at once, on a host with nothing else to do.
_DEADLINE_S: Final = 60
_PAUSE_S: Final = 0.02


def wait_until(holds: Callable[[], object]) -> None:
    """Ask until something holds; what is not found may be there later."""
    deadline = time.monotonic() + _DEADLINE_S
    while not _found(holds):
        assert time.monotonic() < deadline
        time.sleep(_PAUSE_S)


def wait_for(look: Callable[[], str], target: str, *pending: str) -> None:
    """Ask until a state is the target, as the provider's waiters do: a state that is not pending is an error."""

    def is_there() -> bool:
        state = look()
        assert not pending or state in (target, *pending), state
        return state == target

    wait_until(is_there)


def wait_until_gone(find: Callable[[], object], *codes: str) -> None:
    """Ask until something is not found: one of the codes, or nothing in the answer."""

    def is_gone() -> bool:
        try:
            return not _found(find)
        except ClientError as err:
            if err.response["Error"]["Code"] not in codes:
                raise
            return True

    wait_until(is_gone)


def _found(find: Callable[[], object]) -> object:
    try:
        return find()
    except NotFoundError:
        return None
