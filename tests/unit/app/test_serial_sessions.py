"""How long keys of serial consoles are good, and what becomes of sessions."""

import base64

import pytest
from tests.world import World

from bakehouse.domain.errors import Ec2Error
from bakehouse.ports.consoles import MachineGone

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
KEY = base64.b64decode(BLOB)


@pytest.fixture
async def instance_id(world: World) -> str:
    """An instance with a key."""
    (details,) = await world.launch()
    await world.app.consoles.set_serial_access(world.caller, enabled=True)
    world.app.serial_sessions.send_key(world.caller, details.instance.id, f"ssh-ed25519 {BLOB} me@here")
    return details.instance.id


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (59.9, True), (60, False)])
async def test_a_key_is_good_for_a_minute(world: World, instance_id: str, seconds: float, *, good: bool) -> None:
    world.clock.advance(seconds=seconds)

    assert world.app.serial_sessions.accepts(instance_id, KEY) is good
    assert world.app.serial_sessions.expects(instance_id) is good


async def test_a_key_that_is_sent_again_is_good_for_a_minute_from_then(world: World, instance_id: str) -> None:
    world.clock.advance(seconds=45)
    world.app.serial_sessions.send_key(world.caller, instance_id, f"ssh-ed25519 {BLOB}")
    world.clock.advance(seconds=45)

    assert world.app.serial_sessions.accepts(instance_id, KEY)


async def test_keys_that_were_never_used_are_forgotten(world: World, instance_id: str) -> None:
    (details,) = await world.launch()
    world.clock.advance(seconds=61)
    world.app.serial_sessions.send_key(world.caller, details.instance.id, f"ssh-ed25519 {BLOB}")

    assert instance_id not in world.app.serial_sessions._keys


async def test_a_session_that_could_not_begin_is_no_session(world: World, instance_id: str) -> None:
    await world.hypervisor.kill(instance_id)

    for _ in range(2):
        with pytest.raises(Ec2Error) as refusal:
            async with world.app.serial_sessions.session(instance_id):
                pass
        assert refusal.value.code == "IncorrectInstanceState"


async def test_a_session_that_fails_is_over(world: World, instance_id: str) -> None:
    with pytest.raises(MachineGone):
        async with world.app.serial_sessions.session(instance_id):
            raise MachineGone

    async with world.app.serial_sessions.session(instance_id) as console:
        assert b"login: " in await console.read()
