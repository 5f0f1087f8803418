"""Key pairs as boto3 sees them."""

from base64 import b64decode, b64encode
from hashlib import md5, sha1, sha256
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

DER = serialization.Encoding.DER
OPENSSH = serialization.Encoding.OpenSSH
PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()
LINE = ED25519.public_bytes(OPENSSH, serialization.PublicFormat.OpenSSH)


def colons(digest: str) -> str:
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def names(client: "EC2Client", **how: Any) -> list[str]:
    return [pair["KeyName"] for pair in client.describe_key_pairs(**how)["KeyPairs"]]


def test_an_rsa_key_is_made_with_2048_bits_and_the_fingerprint_of_its_private_key(alice: "EC2Client") -> None:
    made = alice.create_key_pair(KeyName="k")

    private = serialization.load_pem_private_key(made["KeyMaterial"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    der = private.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert private.key_size == 2048
    assert made["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert made["KeyFingerprint"] == colons(sha1(der, usedforsecurity=False).hexdigest())


def test_an_ed25519_key_is_made_with_openssh_s_own_fingerprint(alice: "EC2Client") -> None:
    made = alice.create_key_pair(KeyName="k", KeyType="ed25519")

    private = serialization.load_ssh_private_key(made["KeyMaterial"].encode() + b"\n", None)
    line = private.public_key().public_bytes(OPENSSH, serialization.PublicFormat.OpenSSH)
    assert made["KeyFingerprint"] == b64encode(sha256(b64decode(line.split()[1])).digest()).decode()


def test_the_private_key_matches_the_public_key_that_is_kept(alice: "EC2Client") -> None:
    made = alice.create_key_pair(KeyName="k", KeyType="ed25519")

    (pair,) = alice.describe_key_pairs(KeyNames=["k"], IncludePublicKey=True)["KeyPairs"]
    private = serialization.load_ssh_private_key(made["KeyMaterial"].encode() + b"\n", None)
    line = private.public_key().public_bytes(OPENSSH, serialization.PublicFormat.OpenSSH).decode()
    assert pair["PublicKey"] == f"{line} k"
    assert pair["KeyPairId"] == made["KeyPairId"]
    assert pair["KeyType"] == "ed25519"
    assert pair["CreateTime"].tzinfo is not None


def test_the_public_key_is_shown_only_when_asked_for(alice: "EC2Client") -> None:
    alice.import_key_pair(KeyName="k", PublicKeyMaterial=LINE)

    (pair,) = alice.describe_key_pairs()["KeyPairs"]

    assert "PublicKey" not in pair


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_an_rsa_key_of_these_bits_can_be_brought(alice: "EC2Client", bits: int) -> None:
    public = rsa.generate_private_key(65537, bits).public_key()

    brought = alice.import_key_pair(
        KeyName="k", PublicKeyMaterial=public.public_bytes(OPENSSH, serialization.PublicFormat.OpenSSH)
    )

    digest = md5(public.public_bytes(DER, SPKI), usedforsecurity=False).hexdigest()
    assert brought["KeyFingerprint"] == colons(digest)


@pytest.mark.parametrize(
    "material",
    [
        LINE,
        LINE + b" someone@somewhere\n",
        ED25519.public_bytes(PEM, SPKI),
        ED25519.public_bytes(DER, SPKI),
        b64encode(ED25519.public_bytes(DER, SPKI)),
    ],
    ids=["openssh", "openssh with a comment", "pem", "der", "der in base64"],
)
def test_a_public_key_is_read_in_each_form(alice: "EC2Client", material: bytes) -> None:
    alice.import_key_pair(KeyName="k", PublicKeyMaterial=material)

    (pair,) = alice.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert pair["PublicKey"] == f"{LINE.decode()} k"


def test_a_der_key_may_end_in_what_looks_like_white_space(alice: "EC2Client") -> None:
    public = ed25519.Ed25519PublicKey.from_public_bytes(bytes(31) + b"\n")

    pair = alice.import_key_pair(KeyName="k", PublicKeyMaterial=public.public_bytes(DER, SPKI))

    assert pair["KeyName"] == "k"


@pytest.mark.parametrize(
    "material",
    [
        b"",
        b"ssh-rsa",
        b"ssh-rsa AAAA",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        b"\xff\xfe",
        b"secret",
        rsa.generate_private_key(65537, 2304).public_key().public_bytes(DER, SPKI),
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(DER, SPKI),
        ed448.Ed448PrivateKey.generate().public_key().public_bytes(DER, SPKI),
    ],
    ids=["nothing", "a word", "cut", "cut too", "pem", "bytes", "text", "2304 bits", "ECDSA", "Ed448"],
)
def test_what_is_no_rsa_or_ed25519_key_is_refused(alice: "EC2Client", material: bytes) -> None:
    with refused("InvalidKey.Format" if material else "MissingParameter"):
        alice.import_key_pair(KeyName="k", PublicKeyMaterial=material)

    assert names(alice) == []


def test_a_name_is_used_once(alice: "EC2Client") -> None:
    alice.import_key_pair(KeyName="k", PublicKeyMaterial=LINE)

    with refused("InvalidKeyPair.Duplicate"):
        alice.create_key_pair(KeyName="k", KeyType="ed25519")
    with refused("InvalidKeyPair.Duplicate"):
        alice.import_key_pair(KeyName="k", PublicKeyMaterial=LINE)


@pytest.mark.parametrize("name", [" ", " k", "k ", "a" * 256, "schlüssel", "k\nssh-ed25519 AAAA", "a\tb"])
def test_a_name_that_is_no_name_is_refused(alice: "EC2Client", name: str) -> None:
    with refused("InvalidParameterValue"):
        alice.import_key_pair(KeyName=name, PublicKeyMaterial=LINE)


def test_a_name_may_have_255_characters(alice: "EC2Client") -> None:
    alice.import_key_pair(KeyName="n" * 255, PublicKeyMaterial=LINE)

    assert names(alice) == ["n" * 255]


def test_an_unknown_name_or_id_is_not_found(alice: "EC2Client") -> None:
    with refused("InvalidKeyPair.NotFound"):
        alice.describe_key_pairs(KeyNames=["k"])
    with refused("InvalidKeyPair.NotFound"):
        alice.describe_key_pairs(KeyPairIds=["key-0123456789abcdef0"])


def test_another_account_s_key_pair_cannot_be_seen_or_deleted(alice: "EC2Client", bob: "EC2Client") -> None:
    made = alice.import_key_pair(KeyName="k", PublicKeyMaterial=LINE)

    with refused("InvalidKeyPair.NotFound"):
        bob.describe_key_pairs(KeyPairIds=[made["KeyPairId"]])
    bob.delete_key_pair(KeyPairId=made["KeyPairId"])
    bob.delete_key_pair(KeyName="k")

    assert names(bob) == []
    assert names(alice) == ["k"]


def test_three_accounts_and_another_region_may_each_use_a_name(
    alice: "EC2Client", bob: "EC2Client", carol: "EC2Client", shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    elsewhere = shared.ec2(f"alice of {request.node.nodeid}", "eu-west-1")
    clients = [alice, bob, carol, elsewhere]

    ids = {client.import_key_pair(KeyName="k", PublicKeyMaterial=LINE)["KeyPairId"] for client in clients}

    assert len(ids) == 4
    assert [names(client) for client in clients] == [["k"]] * 4


def test_deleting_what_is_not_there_succeeds(alice: "EC2Client") -> None:
    assert alice.delete_key_pair(KeyName="k")["Return"]


def test_a_deleted_key_pair_is_named_and_gone(alice: "EC2Client") -> None:
    made = alice.import_key_pair(KeyName="k", PublicKeyMaterial=LINE)

    assert alice.delete_key_pair(KeyName="k")["KeyPairId"] == made["KeyPairId"]
    assert names(alice) == []


def test_deleting_by_nothing_is_refused(alice: "EC2Client") -> None:
    with refused("MissingParameter"):
        alice.delete_key_pair()


def test_filters_choose_key_pairs(alice: "EC2Client") -> None:
    web = alice.import_key_pair(KeyName="web-1", PublicKeyMaterial=LINE)
    tags: Any = [{"ResourceType": "key-pair", "Tags": [{"Key": "stage", "Value": "prod"}]}]
    alice.import_key_pair(KeyName="db-1", PublicKeyMaterial=LINE, TagSpecifications=tags)

    def found(name: str, *values: str) -> list[str]:
        return names(alice, Filters=[{"Name": name, "Values": list(values)}])

    assert found("key-name", "web-*") == ["web-1"]
    assert found("key-name", "web-?", "db-?") == ["web-1", "db-1"]
    assert found("key-pair-id", web["KeyPairId"]) == ["web-1"]
    assert found("fingerprint", web["KeyFingerprint"]) == ["web-1", "db-1"]
    assert found("tag:stage", "prod") == ["db-1"]
    assert found("tag-key", "stage") == ["db-1"]
    assert found("tag-value", "prod") == ["db-1"]
    with refused("InvalidParameterValue"):
        found("colour", "red")


def test_tags_given_at_the_making_are_there_at_once(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "key-pair", "Tags": [{"Key": "Name", "Value": "mine"}]}]

    made = alice.create_key_pair(KeyName="k", KeyType="ed25519", TagSpecifications=tags)

    assert made["Tags"] == [{"Key": "Name", "Value": "mine"}]
    assert alice.describe_key_pairs()["KeyPairs"][0]["Tags"] == made["Tags"]


def test_tags_of_another_resource_type_are_refused(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "mine"}]}]

    with refused("InvalidParameterValue"):
        alice.create_key_pair(KeyName="k", TagSpecifications=tags)


def test_a_format_that_is_not_made_is_refused(alice: "EC2Client") -> None:
    with refused("UnsupportedOperation"):
        alice.create_key_pair(KeyName="k", KeyFormat="ppk")


def test_a_single_name_needs_no_number(alice: "EC2Client", wire: Wire) -> None:
    for name in ("a", "b"):
        alice.import_key_pair(KeyName=name, PublicKeyMaterial=LINE)

    assert wire.ask("DescribeKeyPairs", {"KeyName": "b"}).texts("keyName") == ["b"]
