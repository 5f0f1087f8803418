"""Public keys that were sent to an instance by EC2 Instance Connect: good for a minute, and kept in memory only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_connect import (
    check_user,
    in_another_zone,
    instance_not_found,
    instance_not_running,
    read_public_key,
)

#: Source: EC2 Instance Connect API Reference, SendSSHPublicKey: "The key remains for 60 seconds."
_LIFE: Final = timedelta(seconds=60)
#: Whose guests can ask for a key.
_CAN_ASK: Final = frozenset({InstanceState.RUNNING})


@dataclass(frozen=True, slots=True)
class _LoginKey:
    user: str
    entry: str
    ends_at: datetime


class LoginKeys:
    """Use cases on keys that let somebody in for a minute."""

    def __init__(self, context: AppContext) -> None:
        """Begin with none."""
        self._context = context
        self._by_instance: dict[str, list[_LoginKey]] = {}

    def send(
        self, caller: Caller, instance_id: str, user: str, public_key: str, *, zone: str | None, request_id: str
    ) -> None:
        """Let an instance's guest find a public key for a user in its metadata, for 60 seconds.

        Refuses what is no key or no name (InvalidArgsException), an instance that is not the caller's
        (EC2InstanceNotFoundException) or does not run (EC2InstanceStateInvalidException).
        """
        check_user(user)
        read_public_key(public_key)
        instance = instance_in(_CAN_ASK, self._context, caller, instance_id)
        if zone is not None and zone != instance.availability_zone:
            raise in_another_zone(zone)
        ends_at = self._context.now() + _LIFE
        # Source of the form: what the agent of EC2 Instance Connect reads; sshd skips the comments.
        entry = (
            f"#Timestamp={int(ends_at.timestamp())}\n#Instance={instance.id}\n#Caller={_arn(caller)}\n"
            f"#Request={request_id}\n{public_key.strip()}\n"
        )
        for other in list(self._by_instance):
            self._good(other)
        self._by_instance.setdefault(instance.id, []).append(_LoginKey(user, entry, ends_at))

    def of(self, instance_id: str) -> dict[str, tuple[str, ...]]:
        """Return the entries of an instance that are still good, by user, the newest first; forget the others."""
        if instance_id not in self._by_instance:
            return {}
        good = self._good(instance_id)
        users = {key.user: None for key in good}
        return {user: tuple(key.entry for key in reversed(good) if key.user == user) for user in users}

    def _good(self, instance_id: str) -> list[_LoginKey]:
        """Return the keys of an instance that are still good, and forget the others."""
        now = self._context.now()
        good = [key for key in self._by_instance.pop(instance_id) if now < key.ends_at]
        if good:
            self._by_instance[instance_id] = good
        return good


def instance_in(states: Collection[InstanceState], context: AppContext, caller: Caller, instance_id: str) -> Instance:
    """Return an instance of the caller's that is in one of these states, or refuse in the service's words."""
    instance = context.store.instances.get(instance_id)
    place = (caller.account_id, caller.region)
    if instance is None or (instance.account_id, instance.region) != place:
        raise instance_not_found()
    if instance.state not in states:
        raise instance_not_found() if instance.state is InstanceState.TERMINATED else instance_not_running()
    return instance


def _arn(caller: Caller) -> str:
    return caller.session.arn if caller.session is not None else f"arn:aws:iam::{caller.account_id}:root"
