"""Who decides how a guest may ask the metadata service: the launch, then the account, then the image.

Source: EC2 User Guide, "Configure the Instance Metadata Service options", order of precedence.
"""

from dataclasses import dataclass, fields
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_value

#: Source: EC2 API Reference, InstanceMetadataOptionsRequest, HttpPutResponseHopLimit.
_HOP_LIMITS: Final = (1, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataOptions:
    """How the guest may ask the metadata service. Source: EC2 API Reference, InstanceMetadataOptionsRequest."""

    tokens_required: bool = True
    endpoint_enabled: bool = True
    hop_limit: int = 2
    tags_enabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataPreferences:
    """What somebody wants of the options; None is no preference."""

    tokens_required: bool | None = None
    endpoint_enabled: bool | None = None
    hop_limit: int | None = None
    tags_enabled: bool | None = None

    def over(self, options: MetadataOptions) -> MetadataOptions:
        """Return the options as these preferences change them."""
        wanted = {field.name: getattr(self, field.name) for field in fields(self)}
        return MetadataOptions(
            **{name: getattr(options, name) if value is None else value for name, value in wanted.items()}
        )


#: What an image wants whose `ImdsSupport` is `v2.0`. Source: EC2 API Reference, Image, imdsSupport.
_IMAGE_V2: Final = MetadataPreferences(tokens_required=True, hop_limit=2)


def at_launch(
    asked: MetadataPreferences, account: MetadataPreferences, imds_support: str | None, *, tokens_enforced: bool
) -> MetadataOptions:
    """Return the options that a launch begins with; refuse IMDSv1 where the account enforces IMDSv2."""
    image = _IMAGE_V2 if imds_support == "v2.0" else MetadataPreferences()
    options = asked.over(account.over(image.over(MetadataOptions())))
    check_enforced(options, tokens_enforced=tokens_enforced)
    return options


def check_enforced(options: MetadataOptions, *, tokens_enforced: bool) -> None:
    """Refuse optional tokens in an account that enforces IMDSv2.

    Source: EC2 User Guide, "Enforce IMDSv2 at the account level": UnsupportedOperation.
    """
    if tokens_enforced and not options.tokens_required:
        raise Ec2Error(
            "UnsupportedOperation",
            "You can't use IMDSv1 because httpTokensEnforced is enabled for this account. Either set "
            "httpTokens=required or contact your account owner to disable httpTokensEnforced.",
        )


def check_hop_limit(hops: int) -> None:
    """Refuse a number of hops that no packet has."""
    least, most = _HOP_LIMITS
    if not least <= hops <= most:
        raise invalid_value(
            hops, "HttpPutResponseHopLimit", f"The value must be an integer between {least} and {most}."
        )
