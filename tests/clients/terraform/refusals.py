"""What Terraform's AWS provider makes of errors, and of nothing found: internal/tfresource and retry.NotFoundError."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from botocore.exceptions import ClientError


class NotFoundError(Exception):
    """Nothing was found, as the provider's finders tell it: the resource is not there, or not yet."""


@contextmanager
def tolerated(*codes: str, containing: str = "") -> Iterator[None]:
    """Let errors pass that the provider expects, by code and, where it looks at that too, by a part of the message."""
    try:
        yield
    except ClientError as err:
        error = err.response["Error"]
        if error["Code"] not in codes or containing not in error["Message"]:
            raise


@contextmanager
def any_refusal_tolerated() -> Iterator[None]:
    """Let whatever is refused pass; a fault of the server would be asked for again and again."""
    try:
        yield
    except ClientError as err:
        if err.response["ResponseMetadata"]["HTTPStatusCode"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
