"""Pages: MaxResults and NextToken for any list of records with ids.

A token is opaque and signed (`domain/page_token.py`). It names the last entries shown and the question asked, so a
token of one question is refused for another, and the next page begins behind them even if some have gone meanwhile.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from bakehouse.domain import page_token
from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter
from bakehouse.ec2.registry import Request, RequestContext

T = TypeVar("T")

#: What the oldest operations call the member that names ids when they refuse it beside a size.
#: Source: answers of AWS that clients show (aws-cli issue 1976, aws-sdk-ruby issue 3028).
_OLD_NAMES: Final = {
    "DescribeImages": "imageIdsSet",
    "DescribeInstances": "instancesSet",
    "DescribeSnapshots": "snapshotSet",
    "DescribeVolumes": "volumeSet",
}

#: Those that take a larger size for their largest. Source: EC2 API Reference of 2022, DescribeSnapshots, MaxResults:
#: "if MaxResults is given a value larger than 1,000, only 1,000 results are returned".
_CAPPED: Final = frozenset({"DescribeInstances", "DescribeSnapshots", "DescribeVolumeStatus", "DescribeVolumes"})

#: How many of the last entries shown a token names: the next page is exact as long as one of them is there.
_NAMED: Final = 8


def page(
    ctx: RequestContext,
    request: Request,
    entries: Sequence[T],
    *,
    key: Callable[[T], str],
    sizes: tuple[int, int],
    ids: str | None = None,
) -> tuple[Sequence[T], str | None]:
    """Return the entries of the page asked for, and the token of the next one.

    Args:
        ctx: Whose key signs the tokens.
        request: Its MaxResults and NextToken count; without both the answer is whole.
        entries: All that match, in a stable order.
        key: An entry's id.
        sizes: The smallest and largest MaxResults of the operation.
        ids: The member that names ids, which excludes MaxResults where EC2 says so.

    Raises:
        Ec2Error: InvalidParameterValue, InvalidParameterCombination or InvalidNextToken.
    """
    size, token = request.get("MaxResults"), request.get("NextToken")
    if size is None and token is None:
        return entries, None
    if size is not None and ids is not None and request.get(ids):
        raise _exclusive(ctx.operation, ids)
    largest = sizes[1]
    if size is not None:
        size = _checked_size(ctx.operation, size, sizes)
    begin = 0 if token is None else _position(ctx, request, token, entries, key)
    end = begin + (largest if size is None else size)
    if end >= len(entries):
        return entries[begin:], None
    last = [_name(key(entry)) for entry in entries[max(begin, end - _NAMED) : end]]
    payload = {"last": last, "at": end, "question": _question(ctx, request)}
    return entries[begin:end], page_token.encode(ctx.page_key, payload)


def _exclusive(operation: str, ids: str) -> Ec2Error:
    old_name = _OLD_NAMES.get(operation)
    if old_name is None:
        return invalid_combination(f"The parameter {ids} cannot be used with the parameter MaxResults")
    return invalid_combination(f"The parameter {old_name} cannot be used with the parameter maxResults")


def _checked_size(operation: str, size: int, sizes: tuple[int, int]) -> int:
    """Refuse a size outside the operation's limits; the wording is that of AWS, "greater than" included."""
    smallest, largest = sizes
    refused = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value"
    if size < smallest:
        raise invalid_parameter(f"{refused} greater than {smallest}.")
    if size > largest and operation not in _CAPPED:
        raise invalid_parameter(f"{refused} less than {largest}.")
    return min(size, largest)


def _position(ctx: RequestContext, request: Request, token: str, entries: Sequence[T], key: Callable[[T], str]) -> int:
    """Return where the page begins: behind the last entry shown that is still there, or where that was."""
    try:
        payload = page_token.decode(ctx.page_key, token)
    except page_token.InvalidPageToken as err:
        raise Ec2Error("InvalidNextToken", "The specified token is invalid.") from err
    if payload["question"] != _question(ctx, request):
        raise Ec2Error("InvalidNextToken", "The specified token does not belong to this request.")
    at: int = payload["at"]
    last: list[str] = payload["last"]
    if at <= len(entries) and _name(key(entries[at - 1])) == last[-1]:
        return at
    places = {_name(key(entry)): place for place, entry in enumerate(entries)}
    return next((places[name] + 1 for name in reversed(last) if name in places), max(0, at - len(last)))


def _name(key: str) -> str:
    """Return a short name of an entry: a key may be a tag's, which is long."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _question(ctx: RequestContext, request: Request) -> str:
    asked: dict[str, Any] = {k: v for k, v in request.items() if k not in ("MaxResults", "NextToken", "DryRun")}
    text = json.dumps([ctx.operation, ctx.caller.account_id, ctx.caller.region, asked], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
