"""The EBS direct APIs: snapshots read and written by blocks."""

from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final

from bakehouse.app.snapshot_blocks import BlockWrite, ListedBlocks, UploadRequest
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.snapshot_block import (
    BLOCK_BYTES,
    BLOCK_TOKEN_LIFE,
    DEFAULT_TIMEOUT_MINUTES,
    PAGE_TOKEN_LIFE,
    InvalidToken,
    Tokens,
    block_token_invalid,
    page_token_invalid,
    parameter_invalid,
    tag_invalid,
)
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set

#: Source: coldsnap, download.rs: "from the default of 100 to the maximum of 10000".
_DEFAULT_PAGE: Final = 100

_ALGORITHM: Final = "SHA256"
_DIGEST_BYTES: Final = 32


@operation("ListSnapshotBlocks", service="ebs", honours="SnapshotId NextToken MaxResults StartingBlockIndex")
async def list_snapshot_blocks(ctx: RequestContext, request: Request) -> Response:
    """List the blocks of a snapshot that have data."""
    listed = await ctx.app.snapshot_blocks.list(ctx.caller, request["SnapshotId"])
    tokens, expires = _block_tokens(ctx, listed.snapshot.id), ctx.app.snapshot_blocks.now() + BLOCK_TOKEN_LIFE

    def view(index: int) -> Mapping[str, Any]:
        return {"BlockIndex": index, "BlockToken": tokens.make(index, expires)}

    return {"Blocks": _page(ctx, request, listed, view), **_shared(ctx, request, listed)}


@operation(
    "ListChangedBlocks",
    service="ebs",
    honours="FirstSnapshotId SecondSnapshotId NextToken MaxResults StartingBlockIndex",
)
async def list_changed_blocks(ctx: RequestContext, request: Request) -> Response:
    """List the blocks that were written between two snapshots of one lineage."""
    if "FirstSnapshotId" not in request:
        raise parameter_invalid("The parameter FirstSnapshotId must be specified with SecondSnapshotId.")
    first_id, second_id = request["FirstSnapshotId"], request["SecondSnapshotId"]
    listed = await ctx.app.snapshot_blocks.compare(ctx.caller, first_id, second_id)
    first, second, expires = (
        _block_tokens(ctx, first_id),
        _block_tokens(ctx, second_id),
        ctx.app.snapshot_blocks.now() + BLOCK_TOKEN_LIFE,
    )

    def view(index: int) -> Mapping[str, Any]:
        place = bisect_left(listed.in_first, index)
        is_in_first = place < len(listed.in_first) and listed.in_first[place] == index
        first_token = first.make(index, expires) if is_in_first else None
        return {
            "BlockIndex": index,
            "FirstBlockToken": first_token,
            "SecondBlockToken": second.make(index, expires),
        }

    return {"ChangedBlocks": _page(ctx, request, listed, view), **_shared(ctx, request, listed)}


@operation("GetSnapshotBlock", service="ebs", honours="SnapshotId BlockIndex BlockToken")
async def get_snapshot_block(ctx: RequestContext, request: Request) -> Response:
    """Answer a block's data, with its checksum."""
    snapshot_id, index = request["SnapshotId"], request["BlockIndex"]
    try:
        is_its = _block_tokens(ctx, snapshot_id).read(request["BlockToken"], ctx.app.snapshot_blocks.now()) == index
    except InvalidToken as err:
        raise block_token_invalid() from err
    if not is_its:
        raise block_token_invalid()
    data, digest = await ctx.app.snapshot_blocks.read(ctx.caller, snapshot_id, index)
    return {
        "DataLength": len(data),
        "BlockData": data,
        "Checksum": b64encode(digest).decode(),
        "ChecksumAlgorithm": _ALGORITHM,
    }


async def _answer_again(ctx: RequestContext, snapshot_id: str) -> Response:
    return _started_view(ctx.app.snapshot_blocks.started(ctx.caller, snapshot_id))


@operation(
    "StartSnapshot",
    service="ebs",
    honours="VolumeSize ParentSnapshotId Tags.Key Tags.Value Description Encrypted KmsKeyArn Timeout",
    replay=_answer_again,
)
async def start_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Begin a snapshot that is then written block by block, over a parent or over nothing."""
    asked = UploadRequest(
        volume_size_gib=request["VolumeSize"],
        parent_snapshot_id=request.get("ParentSnapshotId"),
        description=request.get("Description", ""),
        encryption=Encryption(encrypted=request.get("Encrypted"), key=request.get("KmsKeyArn")),
        timeout_minutes=request.get("Timeout", DEFAULT_TIMEOUT_MINUTES),
        tags=_tags(request),
    )
    return _started_view(await ctx.app.snapshot_blocks.start(ctx.caller, asked))


@operation(
    "PutSnapshotBlock",
    service="ebs",
    honours="SnapshotId BlockIndex BlockData DataLength Progress Checksum ChecksumAlgorithm",
)
async def put_snapshot_block(ctx: RequestContext, request: Request) -> Response:
    """Write a block into a snapshot that is pending."""
    data: bytes = request["BlockData"]
    if request["DataLength"] != BLOCK_BYTES or len(data) != BLOCK_BYTES:
        raise parameter_invalid(f"A block has {BLOCK_BYTES} bytes, not {request['DataLength']} and {len(data)}.")
    block = BlockWrite(
        snapshot_id=request["SnapshotId"],
        index=request["BlockIndex"],
        data=data,
        digest=_digest(request["Checksum"]),
        progress=request.get("Progress"),
    )
    await ctx.app.snapshot_blocks.write(ctx.caller, block)
    return {"Checksum": request["Checksum"], "ChecksumAlgorithm": _ALGORITHM}


@operation(
    "CompleteSnapshot",
    service="ebs",
    honours="SnapshotId ChangedBlocksCount Checksum ChecksumAlgorithm ChecksumAggregationMethod",
)
async def complete_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Complete a snapshot, if what was written is what the client says."""
    named = [name in request for name in ("Checksum", "ChecksumAlgorithm", "ChecksumAggregationMethod")]
    if any(named) and not all(named):
        raise parameter_invalid("Checksum, ChecksumAlgorithm and ChecksumAggregationMethod need each other.")
    snapshot = await ctx.app.snapshot_blocks.complete(
        ctx.caller,
        request["SnapshotId"],
        changed_blocks=request["ChangedBlocksCount"],
        digest=_digest(request["Checksum"]) if all(named) else None,
    )
    return {"Status": snapshot.state}


def _block_tokens(ctx: RequestContext, snapshot_id: str) -> Tokens:
    return Tokens(ctx.page_key, "block", ctx.caller.account_id, ctx.caller.region, snapshot_id)


def _page_tokens(ctx: RequestContext, request: Request) -> Tokens:
    """Return the page tokens of this question: of these snapshots, by this account."""
    ids = (request.get("SnapshotId", ""), request.get("FirstSnapshotId", ""), request.get("SecondSnapshotId", ""))
    return Tokens(ctx.page_key, "page", ctx.caller.account_id, ctx.caller.region, *ids)


def _bounds(ctx: RequestContext, request: Request, listed: ListedBlocks) -> tuple[int, int]:
    """Return which of the listed blocks are on the page asked for. A token counts more than a starting index."""
    start = request.get("StartingBlockIndex", 0)
    if "NextToken" in request:
        try:
            start = _page_tokens(ctx, request).read(request["NextToken"], ctx.app.snapshot_blocks.now())
        except InvalidToken as err:
            raise page_token_invalid() from err
    begin = bisect_left(listed.indexes, start)
    return begin, begin + request.get("MaxResults", _DEFAULT_PAGE)


def _page(
    ctx: RequestContext, request: Request, listed: ListedBlocks, view: Callable[[int], Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    begin, end = _bounds(ctx, request, listed)
    return [view(index) for index in listed.indexes[begin:end]]


def _shared(ctx: RequestContext, request: Request, listed: ListedBlocks) -> Response:
    """Return what both lists answer beside their blocks."""
    _, end = _bounds(ctx, request, listed)
    token = None
    if end < len(listed.indexes):
        token = _page_tokens(ctx, request).make(listed.indexes[end], ctx.app.snapshot_blocks.now() + PAGE_TOKEN_LIFE)
    return {
        "ExpiryTime": ctx.app.snapshot_blocks.now() + BLOCK_TOKEN_LIFE,
        "VolumeSize": listed.snapshot.volume_size_gib,
        "BlockSize": BLOCK_BYTES,
        "NextToken": token,
    }


def _digest(checksum: str) -> bytes:
    try:
        digest = b64decode(checksum, validate=True)
    except ValueError as err:
        raise parameter_invalid("The checksum is not base64.") from err
    if len(digest) != _DIGEST_BYTES:
        raise parameter_invalid(f"The checksum is not of {_ALGORITHM}.")
    return digest


def _tags(request: Request) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in request.get("Tags", ()):
        key = tag.get("Key", "")
        if key in tags:
            raise tag_invalid(f"Duplicate tag key '{key}' specified.")
        tags[key] = tag.get("Value", "")
    return tags


def _started_view(snapshot: Snapshot) -> Response:
    parent_id = None if snapshot.upload is None else snapshot.upload.parent_snapshot_id
    return {
        "SnapshotId": snapshot.id,
        "Description": snapshot.description or None,
        "OwnerId": snapshot.account_id,
        "Status": snapshot.state,
        "StartTime": snapshot.started_at,
        "VolumeSize": snapshot.volume_size_gib,
        "BlockSize": BLOCK_BYTES,
        "Tags": tag_set(snapshot.tags),
        "ParentSnapshotId": parent_id,
        "KmsKeyArn": snapshot.kms_key_id,
    }
