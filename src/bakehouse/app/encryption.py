"""Which key encrypts what is made, and the keys themselves."""

from dataclasses import replace

from bakehouse.app.account_settings import change_settings, settings_of
from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.kms_key import (
    DEFAULT_ALIAS,
    Encryption,
    KmsKey,
    default_key_id,
    key_needs_encrypted,
    key_unusable,
    name_in_region,
    new_key_id,
    stays_encrypted,
)
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.volume import Volume


async def prepare_default_key(context: AppContext, caller: Caller) -> KmsKey:
    """Return the caller's own key for EBS in the region, which nobody need ask for: made when it is first needed."""
    key_id = default_key_id(caller.account_id, caller.region)
    known = context.store.kms_keys.get(key_id)
    if known is not None:
        return known
    description = "Default key that protects my EBS volumes when no other key is defined"  # as KMS has it
    return await _made(context, caller, key_id, description, (DEFAULT_ALIAS,))


def chosen_key(
    context: AppContext, caller: Caller, wanted: Encryption, source: Snapshot | Volume | None = None
) -> str | None:
    """Return the ARN of the key that encrypts what is made of a source, or of nothing; None if none does.

    The caller's own key for EBS has been prepared. A source that is encrypted, or the account's wish to encrypt all
    that it makes, encrypts it too, whatever the request says. Without a key in the request it is the one of a
    source that the caller owns, else the account's default. Source: EBS User Guide, "Encryption outcomes".

    Refuses a key without `encrypted` (InvalidParameterDependency), a key that is not there
    (InvalidKMSKey.InvalidState), and that what is encrypted comes to be so no more (InvalidParameterCombination).
    """
    if wanted.key is not None and not wanted.encrypted:
        raise key_needs_encrypted()
    if source is not None and source.encrypted and wanted.encrypted is False:
        raise stays_encrypted()
    settings = settings_of(context, caller.account_id, caller.region)
    if wanted.key is not None:
        return named_key(context, caller, wanted.key).arn
    if source is not None and source.encrypted and source.account_id == caller.account_id:
        return source.kms_key_id
    if wanted.encrypted or settings.ebs_encrypted_by_default or (source is not None and source.encrypted):
        return default_key(context, caller).arn
    return None


def copy_key(context: AppContext, caller: Caller, wanted: Encryption, source: Snapshot | Volume) -> str | None:
    """Return the same for a copy, which has the account's default key where the request names none.

    Source: EC2 API Reference, CopySnapshot and CopyImage, KmsKeyId.
    """
    chosen = chosen_key(context, caller, wanted, source)
    return chosen if chosen is None or wanted.key is not None else default_key(context, caller).arn


def named_key(context: AppContext, caller: Caller, name: str) -> KmsKey:
    """Return a key of the caller's in the region by its id, its ARN, an alias or that one's ARN."""
    wanted = name_in_region(name, caller.account_id, caller.region)
    for key in context.store.kms_keys.by("scope")[caller.account_id, caller.region].values():
        if wanted is not None and (wanted == key.id or wanted in key.aliases):
            return key
    raise key_unusable()


def default_key(context: AppContext, caller: Caller) -> KmsKey:
    """Return the key that the account encrypts with where a request names none. Its own has been prepared."""
    chosen = settings_of(context, caller.account_id, caller.region).ebs_default_key
    return context.store.kms_keys[chosen or default_key_id(caller.account_id, caller.region)]


async def _made(context: AppContext, caller: Caller, key_id: str, description: str, aliases: tuple[str, ...]) -> KmsKey:
    # First the key, then its record: a key without one is known to nobody and does no harm.
    await context.keys.create(key_id)
    made = KmsKey(
        id=key_id,
        account_id=caller.account_id,
        region=caller.region,
        created_at=context.now().replace(microsecond=0),
        description=description,
        aliases=aliases,
    )
    async with context.store.transaction() as tx:
        for key in context.store.kms_keys.by("scope")[caller.account_id, caller.region].values():
            if key.id != key_id and not set(aliases).isdisjoint(key.aliases):
                tx.put(replace(key, aliases=tuple(it for it in key.aliases if it not in aliases)))
        tx.put(context.store.kms_keys.get(key_id) or made)
    return made


class Keys:
    """Use cases on keys, and on what an account encrypts without being asked."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def encrypts_by_default(self, caller: Caller) -> bool:
        """Tell whether the account encrypts every volume and every copy in the region."""
        return settings_of(self._context, caller.account_id, caller.region).ebs_encrypted_by_default

    async def set_encrypts_by_default(self, caller: Caller, *, enabled: bool) -> None:
        """Encrypt whatever the account makes from now on, or only what it asks for. What there is stays as it is."""
        await change_settings(self._context, caller, ebs_encrypted_by_default=enabled)

    async def default(self, caller: Caller) -> KmsKey:
        """Return the key that encrypts where a request names none."""
        await prepare_default_key(self._context, caller)
        return default_key(self._context, caller)

    async def set_default(self, caller: Caller, name: str | None) -> KmsKey:
        """Make a key the one that encrypts where a request names none; None is the account's own again.

        Refuses a key that is not there: InvalidKMSKey.InvalidState.
        """
        own = await prepare_default_key(self._context, caller)
        key = own if name is None else named_key(self._context, caller, name)
        await change_settings(self._context, caller, ebs_default_key=None if key.is_default else key.id)
        return key

    async def create(self, caller: Caller, *, description: str = "", alias: str | None = None) -> KmsKey:
        """Make a key, with an alias if one is given; a former key's alias of that name becomes this one's."""
        if alias is not None:
            alias = "alias/" + alias.removeprefix("alias/")
            if alias.startswith("alias/aws/"):
                raise key_unusable()
        return await _made(self._context, caller, new_key_id(), description, () if alias is None else (alias,))

    def all(self, caller: Caller) -> list[KmsKey]:
        """Return the caller's keys in the region."""
        return list(self._context.store.kms_keys.by("scope")[caller.account_id, caller.region].values())
