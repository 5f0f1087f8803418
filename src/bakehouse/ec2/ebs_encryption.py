"""Whether an account's volumes are encrypted without being asked, and with which key."""

from bakehouse.domain.kms_key import Encryption
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


def requested_encryption(request: Request) -> Encryption:
    """Return what a request says of encryption."""
    return Encryption(encrypted=request.get("Encrypted"), key=request.get("KmsKeyId"))


@operation("EnableEbsEncryptionByDefault")
async def enable_ebs_encryption_by_default(ctx: RequestContext, _request: Request) -> Response:
    """Encrypt every volume and every copy of a snapshot that the account makes in the region from now on."""
    await ctx.app.keys.set_encrypts_by_default(ctx.caller, enabled=True)
    return {"EbsEncryptionByDefault": True}


@operation("DisableEbsEncryptionByDefault")
async def disable_ebs_encryption_by_default(ctx: RequestContext, _request: Request) -> Response:
    """Encrypt what is asked for, as it is at first. What is encrypted stays encrypted."""
    await ctx.app.keys.set_encrypts_by_default(ctx.caller, enabled=False)
    return {"EbsEncryptionByDefault": False}


@operation("GetEbsEncryptionByDefault")
async def get_ebs_encryption_by_default(ctx: RequestContext, _request: Request) -> Response:
    """Show whether the account encrypts all that it makes."""
    return {"EbsEncryptionByDefault": ctx.app.keys.encrypts_by_default(ctx.caller)}


@operation("GetEbsDefaultKmsKeyId")
async def get_ebs_default_kms_key_id(ctx: RequestContext, _request: Request) -> Response:
    """Show the key that encrypts where a request names none."""
    return {"KmsKeyId": (await ctx.app.keys.default(ctx.caller)).arn}


@operation("ModifyEbsDefaultKmsKeyId", honours="KmsKeyId")
async def modify_ebs_default_kms_key_id(ctx: RequestContext, request: Request) -> Response:
    """Let another key encrypt where a request names none."""
    return {"KmsKeyId": (await ctx.app.keys.set_default(ctx.caller, request["KmsKeyId"])).arn}


@operation("ResetEbsDefaultKmsKeyId")
async def reset_ebs_default_kms_key_id(ctx: RequestContext, _request: Request) -> Response:
    """Let the account's own key encrypt again where a request names none."""
    return {"KmsKeyId": (await ctx.app.keys.set_default(ctx.caller, None)).arn}
