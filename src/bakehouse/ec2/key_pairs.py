"""Key pair operations."""

from bakehouse.domain.errors import missing_parameter, not_honoured
from bakehouse.domain.key_pair import KeyPair
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

FILTERS: Filters[KeyPair] = Filters(
    {
        "key-pair-id": lambda pair: [pair.id],
        "fingerprint": lambda pair: [pair.fingerprint],
        "key-name": lambda pair: [pair.name],
    },
    tags=lambda pair: pair.tags,
)


@operation("CreateKeyPair", honours="KeyName KeyType KeyFormat TagSpecifications")
async def create_key_pair(ctx: RequestContext, request: Request) -> Response:
    """Make a key pair; the answer holds the private key in PEM, once."""
    if request.get("KeyFormat", "pem") != "pem":
        raise not_honoured("KeyFormat=ppk")
    pair, private_key = await ctx.app.key_pairs.create(
        ctx.caller,
        request["KeyName"],
        request.get("KeyType", "rsa"),
        requested_tags(request, "key-pair")["key-pair"],
    )
    return {
        "KeyPairId": pair.id,
        "KeyName": pair.name,
        "KeyFingerprint": pair.fingerprint,
        "KeyMaterial": private_key,
        "Tags": tag_set(pair.tags),
    }


@operation("ImportKeyPair", honours="KeyName PublicKeyMaterial TagSpecifications")
async def import_key_pair(ctx: RequestContext, request: Request) -> Response:
    """Keep a public key."""
    tags = requested_tags(request, "key-pair")["key-pair"]
    pair = await ctx.app.key_pairs.bring(ctx.caller, request["KeyName"], request["PublicKeyMaterial"], tags)
    return {
        "KeyPairId": pair.id,
        "KeyName": pair.name,
        "KeyFingerprint": pair.fingerprint,
        "Tags": tag_set(pair.tags),
    }


@operation("DescribeKeyPairs", honours="KeyNames KeyPairIds Filters IncludePublicKey")
async def describe_key_pairs(ctx: RequestContext, request: Request) -> Response:
    """List key pairs."""
    matches = FILTERS.compile(request)
    pairs = ctx.app.key_pairs.describe(ctx.caller, request.get("KeyNames"), request.get("KeyPairIds"))
    public = bool(request.get("IncludePublicKey"))
    return {"KeyPairs": [_view(pair, public=public) for pair in pairs if matches(pair)]}


@operation("DeleteKeyPair", honours="KeyName KeyPairId")
async def delete_key_pair(ctx: RequestContext, request: Request) -> Response:
    """Forget a key pair; one that is not there is success, as on EC2."""
    name, key_pair_id = request.get("KeyName"), request.get("KeyPairId")
    if name is None and key_pair_id is None:
        raise missing_parameter("KeyName")
    pair = await ctx.app.key_pairs.delete(ctx.caller, name=name, key_pair_id=key_pair_id)
    return {"Return": True} | ({"KeyPairId": pair.id} if pair else {})


def _view(pair: KeyPair, *, public: bool) -> Response:
    view = {
        "KeyPairId": pair.id,
        "KeyName": pair.name,
        "KeyFingerprint": pair.fingerprint,
        "KeyType": pair.type,
        "CreateTime": pair.created_at,
        "Tags": tag_set(pair.tags),
    }
    return view | {"PublicKey": pair.public_key} if public else view
