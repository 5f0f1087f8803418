"""Serial consoles by SSH, EC2's own way to them: a public key for a minute, then one session at a time.

Keys and sessions are kept in memory only: a server that ends hangs up, and forgets the keys.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from bakehouse.app.consoles import Consoles
from bakehouse.app.context import AppContext
from bakehouse.app.login_keys import instance_in
from bakehouse.domain.caller import Caller
from bakehouse.domain.console import WITH_SERIAL_CONSOLE
from bakehouse.domain.instance_connect import (
    instance_not_found,
    read_public_key,
    serial_access_disabled,
    serial_session_exists,
)
from bakehouse.ports.consoles import SerialConsole

#: Source: EC2 Instance Connect API Reference, SendSerialConsoleSSHPublicKey: "The key remains for 60 seconds".
KEY_LIFE: Final = timedelta(seconds=60)


class SerialSessions:
    """Use cases on serial consoles that are reached by SSH."""

    def __init__(self, context: AppContext, consoles: Consoles) -> None:
        """Begin with no keys and no sessions."""
        self._context = context
        self._consoles = consoles
        self._keys: dict[str, dict[bytes, datetime]] = {}
        """Instance to keys to when they end."""
        self._going_on: set[str] = set()

    def send_key(self, caller: Caller, instance_id: str, public_key: str) -> None:
        """Let whoever has the private key connect to an instance's serial console in the next 60 seconds.

        Refuses what is no key (InvalidArgsException), an instance that is not the caller's
        (EC2InstanceNotFoundException), has no machine (EC2InstanceStateInvalidException) or a session already
        (SerialConsoleSessionLimitExceededException), and an account that has not enabled access in the region
        (SerialConsoleAccessDisabledException).
        """
        key = read_public_key(public_key)
        instance = instance_in(WITH_SERIAL_CONSOLE, self._context, caller, instance_id)
        if not self._consoles.serial_access(caller):
            raise serial_access_disabled()
        if instance.id in self._going_on:
            raise serial_session_exists()
        for other in list(self._keys):
            self._good_keys(other)
        self._keys.setdefault(instance.id, {})[key] = self._context.now() + KEY_LIFE

    def expects(self, instance_id: str) -> bool:
        """Tell whether any key would let somebody in now."""
        return bool(self._good_keys(instance_id))

    def accepts(self, instance_id: str, key: bytes) -> bool:
        """Tell whether a public key, as SSH sends it, lets its owner in now."""
        return key in self._good_keys(instance_id)

    @asynccontextmanager
    async def session(self, instance_id: str) -> AsyncIterator[SerialConsole]:
        """Connect to an instance's serial console for as long as the block lasts.

        Refuses a second session (SerialConsoleSessionLimitExceededException), an account that has disabled access since
        the key was sent (SerialConsoleAccessDisabledException), and an instance without a machine
        (IncorrectInstanceState).
        """
        if instance_id in self._going_on:
            raise serial_session_exists()
        self._going_on.add(instance_id)
        try:
            console = await self._console(instance_id)
            try:
                yield console
            finally:
                await console.close()
        finally:
            self._going_on.discard(instance_id)

    async def _console(self, instance_id: str) -> SerialConsole:
        instance = self._context.store.instances.get(instance_id)
        if instance is None:
            raise instance_not_found()
        owner = Caller(account_id=instance.account_id, region=instance.region)
        return await self._consoles.connect(owner, instance.id)

    def _good_keys(self, instance_id: str) -> dict[bytes, datetime]:
        """Return the keys that are still good, and forget the others."""
        now = self._context.now()
        good = {key: ends_at for key, ends_at in self._keys.get(instance_id, {}).items() if now < ends_at}
        if good:
            self._keys[instance_id] = good
        else:
            self._keys.pop(instance_id, None)
        return good
