"""What an owner may do to an image that is registered: disable it, deprecate it, protect it from deregistration."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from bakehouse.domain.errors import Ec2Error, auth_failure, invalid_parameter, invalid_value, operation_not_permitted
from bakehouse.domain.image import DeregistrationProtection, Image, ImageState, image_unavailable

#: Source: EC2 User Guide, "Deprecate an Amazon EC2 AMI": from now, and for public images from their making.
_DEPRECATION_YEARS_MAX: Final = 10
_PUBLIC_DEPRECATION_YEARS: Final = 2

#: Source: EC2 User Guide, "Protect an Amazon EC2 AMI from deregistration".
_COOLDOWN: Final = timedelta(hours=24)
_MINUTE: Final = timedelta(minutes=1)
_HALF_MINUTE: Final = timedelta(seconds=30)


class ImageEvent(Enum):
    """What an owner asks for."""

    DISABLE = auto()
    ENABLE = auto()


#: (state, event) -> next state. A pair that has no row is refused.
TRANSITIONS: Final[Mapping[tuple[ImageState, ImageEvent], ImageState]] = {
    (ImageState.AVAILABLE, ImageEvent.DISABLE): ImageState.DISABLED,
    (ImageState.DISABLED, ImageEvent.DISABLE): ImageState.DISABLED,
    (ImageState.DISABLED, ImageEvent.ENABLE): ImageState.AVAILABLE,
    (ImageState.AVAILABLE, ImageEvent.ENABLE): ImageState.AVAILABLE,
}


def disabled(image: Image) -> Image:
    """Return an image that nobody can launch and that only its owner sees: its launch permissions are gone for good.

    Refuses one that is pending or failed: InvalidAMIID.Unavailable. Source: EC2 API Reference, DisableImage.
    """
    return replace(image, state=_next_state(image, ImageEvent.DISABLE), launch_accounts=())


def enabled(image: Image) -> Image:
    """Return an image that its owner can launch and share again. Refuses as `disabled` does."""
    return replace(image, state=_next_state(image, ImageEvent.ENABLE))


def _next_state(image: Image, event: ImageEvent) -> ImageState:
    state = TRANSITIONS.get((image.state, event))
    if state is None:
        raise image_unavailable(image.id)
    return state


def deprecated(image: Image, at: datetime, now: datetime) -> Image:
    """Return an image with a time of deprecation, rounded to the nearest minute.

    Refuses a time in the past, and one that is later than 10 years from now or, for a public image, 2 years from its
    making: InvalidParameterValue. Source: EC2 API Reference, EnableImageDeprecation.
    """
    if at < now:
        raise invalid_value(at.isoformat(), "DeprecateAt", "The date and time cannot be in the past.")
    if at > _years_after(now, _DEPRECATION_YEARS_MAX):
        raise invalid_value(at.isoformat(), "DeprecateAt", "It can be up to 10 years from now.")
    if image.is_public and _to_minute(at) > _public_deprecation(image):
        raise invalid_value(
            at.isoformat(), "DeprecateAt", "For a public image it can be up to 2 years from the creation date."
        )
    return replace(image, deprecation_time=_to_minute(at))


def not_deprecated(image: Image) -> Image:
    """Return an image without a time of deprecation. Refuses a public one, which always has one."""
    if image.is_public:
        raise operation_not_permitted(
            f"The deprecation of the public image '{image.id}' can be canceled only once it is private."
        )
    return replace(image, deprecation_time=None)


def with_public_deprecation(image: Image) -> Image:
    """Return an image as it is once it is public: deprecated two years after its making, or earlier if so chosen.

    Source: EC2 User Guide, "Deprecate an Amazon EC2 AMI". An image that is not public is returned as it is.
    """
    if not image.is_public:
        return image
    latest = _public_deprecation(image)
    chosen = image.deprecation_time
    return replace(image, deprecation_time=latest if chosen is None else min(chosen, latest))


def protected(image: Image, *, cooldown: bool) -> Image:
    """Return an image that cannot be deregistered, nor for a day after its protection ends if `cooldown` is wanted."""
    kind = DeregistrationProtection.ON_WITH_COOLDOWN if cooldown else DeregistrationProtection.ON
    return replace(image, deregistration_protection=kind, protected_until=None)


def unprotected(image: Image, now: datetime) -> Image:
    """Return an image whose protection ends: now, or a day from now if it was to have a cooldown."""
    until = image.protected_until
    if image.deregistration_protection is DeregistrationProtection.ON_WITH_COOLDOWN:
        until = now.replace(microsecond=0) + _COOLDOWN
    return replace(image, deregistration_protection=DeregistrationProtection.OFF, protected_until=until)


def cools_down(image: Image, now: datetime) -> bool:
    """Tell whether an image's protection was ended less than a day ago, and holds on."""
    return image.protected_until is not None and now < image.protected_until


def check_deregistrable(image: Image, now: datetime) -> None:
    """Refuse an image that is protected: OperationNotPermitted.

    Source: EC2 User Guide, "Protect an Amazon EC2 AMI from deregistration"; its error code is the one that EC2 has for
    instances protected from termination.
    """
    if image.deregistration_protection is not DeregistrationProtection.OFF:
        raise operation_not_permitted(
            f"The image '{image.id}' cannot be deregistered because deregistration protection is enabled. "
            "To deregister it, you must first disable deregistration protection."
        )
    if image.protected_until is not None and cools_down(image, now):
        raise operation_not_permitted(
            f"The image '{image.id}' cannot be deregistered until {image.protected_until.isoformat()}, "
            "when the cooldown period of its deregistration protection ends."
        )


def permission_not_explicit(image_id: str) -> Ec2Error:
    """Refuse to give up what was not given: only an explicit permission of the caller's account can be cancelled.

    Source: EC2 User Guide, "Cancel having an AMI shared with your AWS account", Limitations.
    """
    return auth_failure(f"Not authorized for image:{image_id}: it is not shared with your account explicitly")


def not_windows(image_id: str) -> Ec2Error:
    """Refuse to make launches of Windows faster: no image here is one. Source: EC2 API Reference, EnableFastLaunch."""
    return invalid_parameter(f"Can't change EC2 Fast Launch. The image '{image_id}' is not a Windows AMI.")


def _public_deprecation(image: Image) -> datetime:
    return _to_minute(_years_after(image.created_at, _PUBLIC_DEPRECATION_YEARS))


def _to_minute(at: datetime) -> datetime:
    whole = at.replace(second=0, microsecond=0)
    return whole + _MINUTE if at - whole >= _HALF_MINUTE else whole


def _years_after(at: datetime, years: int) -> datetime:
    try:
        return at.replace(year=at.year + years)
    except ValueError:  # the 29th of February
        return at.replace(year=at.year + years, day=28)
