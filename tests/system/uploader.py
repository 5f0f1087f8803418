"""An account that reads and writes snapshots by blocks, through boto3."""

import random
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer

from bakehouse.ports.snapshot_blocks import BLOCK_BYTES

ZEROS = bytes(BLOCK_BYTES)


@cache
def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


def checksum(data: bytes) -> str:
    return b64encode(sha256(data).digest()).decode()


def linear(blocks: Mapping[int, bytes]) -> str:
    """The checksum of all blocks, as clients aggregate it."""
    return checksum(b"".join(sha256(blocks[index]).digest() for index in sorted(blocks)))


class Uploader:
    """An account that writes snapshots."""

    def __init__(self, running: RunningServer, account: str) -> None:
        self.ebs: Any = running.client("ebs", account)
        self.ebs._serializer = self.ebs._serializer._serializer  # what boto3 would refuse itself is sent
        self.ec2: Any = running.ec2(account)
        self.account_id = running.access_key(account).account_id

    def start(self, size: int = 1, **members: Any) -> str:
        snapshot_id: str = self.ebs.start_snapshot(VolumeSize=size, **members)["SnapshotId"]
        return snapshot_id

    def put(self, snapshot_id: str, index: int, data: bytes, **members: Any) -> Any:
        request = {
            "SnapshotId": snapshot_id,
            "BlockIndex": index,
            "BlockData": data,
            "DataLength": len(data),
            "Checksum": checksum(data),
            "ChecksumAlgorithm": "SHA256",
            **members,
        }
        return self.ebs.put_snapshot_block(**request)

    def complete(self, snapshot_id: str, count: int, **members: Any) -> Any:
        return self.ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=count, **members)

    def snapshot(self, blocks: Mapping[int, bytes], size: int = 1, **members: Any) -> str:
        """Make a snapshot of blocks."""
        snapshot_id = self.start(size, **members)
        for index, data in blocks.items():
            self.put(snapshot_id, index, data)
        self.complete(snapshot_id, len(blocks))
        return snapshot_id

    def listed(self, snapshot_id: str, **members: Any) -> dict[int, str]:
        """All blocks of a snapshot with their tokens, page by page."""
        found: dict[int, str] = {}
        while True:
            answer = self.ebs.list_snapshot_blocks(SnapshotId=snapshot_id, **members)
            found |= {each["BlockIndex"]: each["BlockToken"] for each in answer["Blocks"]}
            if "NextToken" not in answer:
                return found
            members["NextToken"] = answer["NextToken"]

    def get(self, snapshot_id: str, index: int, token: str) -> bytes:
        answer = self.ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=token)
        data: bytes = answer["BlockData"].read()
        assert (answer["DataLength"], answer["ChecksumAlgorithm"]) == (BLOCK_BYTES, "SHA256")
        assert answer["Checksum"] == checksum(data)
        return data

    def content(self, snapshot_id: str) -> dict[int, bytes]:
        return {index: self.get(snapshot_id, index, token) for index, token in self.listed(snapshot_id).items()}

    def state(self, snapshot_id: str) -> str:
        (snapshot,) = self.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
        state: str = snapshot["State"]
        return state


def refused(call: Any, /, *arguments: Any, **parameters: Any) -> tuple[str, str | None, int]:
    """Return code, reason and status of a refusal."""
    with pytest.raises(ClientError) as refusal:
        call(*arguments, **parameters)
    response: Any = refusal.value.response
    return response["Error"]["Code"], response.get("Reason"), response["ResponseMetadata"]["HTTPStatusCode"]


def invalid(reason: str) -> tuple[str, str, int]:
    return "ValidationException", reason, 400


NOT_THERE = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)
