"""Stories of snapshots that are written by blocks."""

from hashlib import sha256

from tests.world import World

from bakehouse.app.snapshot_blocks import BlockWrite, UploadRequest
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES


async def start(world: World, parent_id: str) -> None:
    request = UploadRequest(volume_size_gib=1, parent_snapshot_id=parent_id)
    await world.app.snapshot_blocks.start(world.caller, request)


async def written(world: World) -> str:
    """Have a pending snapshot with a block."""
    snapshot = await world.app.snapshot_blocks.start(world.caller, UploadRequest(volume_size_gib=1))
    data = b"x" * BLOCK_BYTES
    block = BlockWrite(snapshot_id=snapshot.id, index=1, data=data, digest=sha256(data).digest())
    await world.app.snapshot_blocks.write(world.caller, block)
    return snapshot.id


async def complete(world: World, snapshot_id: str) -> None:
    await world.app.snapshot_blocks.complete(world.caller, snapshot_id, changed_blocks=1, digest=None)


async def delete(world: World, snapshot_id: str) -> None:
    await world.app.snapshots.delete(world.caller, snapshot_id)
