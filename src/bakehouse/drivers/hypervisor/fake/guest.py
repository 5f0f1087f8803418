"""What a simulated guest shows: what it says when it boots, and the keys of its trusted platform module."""

import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from bakehouse.drivers.hypervisor.endorsement import ECC_P384, RSA_2048, ecc_public, endorsement_key, rsa_public
from bakehouse.ports.hypervisor import EndorsementKey, MachineSpec


def endorsement_keys(machine_id: str) -> Mapping[str, EndorsementKey]:
    """Return keys as real ones look; the RSA one is no product of two primes."""
    modulus = bytearray(hashlib.shake_256(machine_id.encode()).digest(256))
    modulus[0] |= 0x80
    modulus[-1] |= 1
    point = ec.derive_private_key(int.from_bytes(modulus[:32]), ec.SECP384R1()).public_key().public_numbers()
    publics = {
        RSA_2048: rsa_public(bytes(modulus)),
        ECC_P384: ecc_public(point.x.to_bytes(48), point.y.to_bytes(48)),
    }
    return {kind: endorsement_key(kind, public) for kind, public in publics.items()}


def boot_messages(spec: MachineSpec) -> str:
    """Return what a guest writes to its console when it boots."""
    return (
        f"[    0.000000] Simulated {spec.architecture} machine {spec.machine_id}, type {spec.instance_type}\n"
        f"[    0.000000] {spec.vcpus} processors, {spec.memory_mib} MiB, {len(spec.disks)} disks\n"
        f"login: "
    )
