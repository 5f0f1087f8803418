"""Names that stand for images."""

from dataclasses import replace
from datetime import datetime

from bakehouse.domain.image import Image
from bakehouse.domain.public_parameter import ParameterVersion, PublicParameter, public_parameter_id
from bakehouse.store.store import Store, Transaction


def publish(store: Store, transaction: Transaction, name: str, image: Image, now: datetime) -> None:
    """Let a name stand for an image from now on; the image that it stood for before loses it."""
    record_id = public_parameter_id(image.region, name)
    known = store.public_parameters.get(record_id)
    if known is None:
        first = ParameterVersion(version=1, image_id=image.id, account_id=image.account_id, modified_at=now)
        parameter = PublicParameter(id=record_id, region=image.region, name=name, versions=(first,))
    else:
        parameter = known.moved_on(image.id, image.account_id, now)
        before = store.images.get(known.versions[-1].image_id)
        if before is not None and before.public_parameter == name:
            transaction.put(replace(before, public_parameter=None))
    transaction.put(parameter)
    transaction.put(replace(image, public_parameter=name))
