"""Operations on what an instance keeps beside its volumes."""

from base64 import b64encode

from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("GetInstanceTpmEkPub", honours="InstanceId KeyType KeyFormat")
async def get_instance_tpm_ek_pub(ctx: RequestContext, request: Request) -> Response:
    """Tell the key that the instance's trusted platform module is known by: what the module itself answers."""
    kind, form = request["KeyType"], request["KeyFormat"]
    key = await ctx.app.instance_firmware.endorsement_key(ctx.caller, request["InstanceId"], kind)
    value = key.tpmt if form == "tpmt" else key.der
    return {
        "InstanceId": request["InstanceId"],
        "KeyType": kind,
        "KeyFormat": form,
        "KeyValue": b64encode(value).decode(),
    }


@operation("GetInstanceUefiData", honours="InstanceId")
async def get_instance_uefi_data(ctx: RequestContext, request: Request) -> Response:
    """Tell the instance's UEFI variables as its guest has them now, in the form that RegisterImage takes."""
    uefi_data = await ctx.app.instance_firmware.uefi_data(ctx.caller, request["InstanceId"])
    return {"InstanceId": request["InstanceId"], "UefiData": uefi_data}
