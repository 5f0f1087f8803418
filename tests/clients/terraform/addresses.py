"""aws_eip, aws_eip_association and aws_key_pair."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.clients.terraform.provider import Resource, Values, filters, given, only, tags_of
from tests.clients.terraform.refusals import tolerated
from tests.clients.terraform.waiters import wait_until

#: Who has an address, as AssociateAddress is asked.
_HOLDERS = {
    "associate_with_private_ip": "PrivateIpAddress",
    "instance": "InstanceId",
    "network_interface": "NetworkInterfaceId",
}


class AwsKeyPair(Resource):
    """ec2_key_pair.go. It is found by its name and tagged by its id."""

    kind = "key-pair"
    gone = ("InvalidKeyPair.NotFound",)

    def create(self) -> str:
        key = self.wanted["public_key"].encode()
        made = self.ec2.import_key_pair(KeyName=self.wanted["key_name"], PublicKeyMaterial=key, **self.tagged())
        return str(made["KeyName"])

    def read(self) -> Values:
        pair = self._find()[0]
        return {
            "fingerprint": pair["KeyFingerprint"],
            "key_name": pair["KeyName"],
            "key_pair_id": pair["KeyPairId"],
            "key_type": pair["KeyType"],
            "public_key": self.wanted["public_key"],
            "tags": tags_of(pair),
        }

    def update_tags(self, resource_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        del resource_id
        super().update_tags(self.state["key_pair_id"], before, after)

    def destroy(self) -> None:
        """Delete it; one that is not there any more is no error of EC2's."""
        self.ec2.delete_key_pair(KeyName=self.id)
        self.ec2.delete_key_pair(KeyName=self.id)

    def _find(self) -> list[Values]:
        pairs: list[Values] = self.ec2.describe_key_pairs(KeyNames=[self.id])["KeyPairs"]
        assert [pair["KeyName"] for pair in pairs] == [self.id]
        return pairs


class AwsEip(Resource):
    """ec2_eip.go."""

    kind = "elastic-ip"
    gone = ("InvalidAddress.NotFound", "InvalidAllocationID.NotFound")
    defaults: ClassVar[Mapping[str, Any]] = {"customer_owned_ipv4_pool": None}

    def create(self) -> str:
        made = self.ec2.allocate_address(**given({"domain": "Domain"}, self.wanted), **self.tagged())
        self.id = made["AllocationId"]
        assert self.id.startswith("eipalloc-")
        wait_until(self._find)
        if self.wanted.get("instance") or self.wanted.get("network_interface"):
            self._associate()
        return self.id

    def read(self) -> Values:
        address = self._find()
        names = self.ec2.describe_addresses_attribute(AllocationIds=[self.id], Attribute="domain-name")["Addresses"]
        return {
            "associate_with_private_ip": self.wanted.get("associate_with_private_ip"),
            "association_id": address.get("AssociationId"),
            "customer_owned_ipv4_pool": address.get("CustomerOwnedIpv4Pool"),
            "domain": address["Domain"],
            "instance": address.get("InstanceId"),
            "network_border_group": address["NetworkBorderGroup"],
            "network_interface": address.get("NetworkInterfaceId"),
            "private_ip": address.get("PrivateIpAddress"),
            "ptr_record": names[0].get("PtrRecord") if names else None,
            "public_ip": address["PublicIp"],
            "public_ipv4_pool": address["PublicIpv4Pool"],
            "tags": tags_of(address),
        }

    def update(self, changed: Values) -> None:
        assert changed.keys() <= _HOLDERS.keys(), "the provider would make another one"
        self._disassociate()
        if self.wanted.get("instance") or self.wanted.get("network_interface"):
            self._associate()

    def destroy(self) -> None:
        self._disassociate()
        with tolerated("InvalidAllocationID.NotFound"):
            self.ec2.release_address(AllocationId=self.id, NetworkBorderGroup=self.state["network_border_group"])

    def _associate(self) -> None:
        made = self.ec2.associate_address(AllocationId=self.id, **given(_HOLDERS, self.wanted))
        ours = filters({"association-id": made["AssociationId"]})
        wait_until(lambda: self.ec2.describe_addresses(Filters=ours)["Addresses"])

    def _disassociate(self) -> None:
        if self.state["association_id"]:
            with tolerated("InvalidAssociationID.NotFound"):
                self.ec2.disassociate_address(AssociationId=self.state["association_id"])

    def _find(self) -> Values:
        return only(self.ec2.describe_addresses(AllocationIds=[self.id])["Addresses"])


class AwsEipAssociation(Resource):
    """ec2_eip_association.go."""

    kind = ""

    def create(self) -> str:
        members = {
            "allocation_id": "AllocationId",
            "instance_id": "InstanceId",
            "private_ip_address": "PrivateIpAddress",
        }
        self.id = self.ec2.associate_address(**given(members, self.wanted))["AssociationId"]
        assert self.id.startswith("eipassoc-")
        wait_until(self._find)
        return self.id

    def read(self) -> Values:
        address = only(self._find())
        return {
            "allocation_id": address["AllocationId"],
            "instance_id": address["InstanceId"],
            "network_interface_id": address["NetworkInterfaceId"],
            "private_ip_address": address["PrivateIpAddress"],
            "public_ip": address["PublicIp"],
        }

    def destroy(self) -> None:
        with tolerated("InvalidAssociationID.NotFound"):
            self.ec2.disassociate_address(AssociationId=self.id)

    def _find(self) -> list[Values]:
        found: list[Values] = self.ec2.describe_addresses(Filters=filters({"association-id": self.id}))["Addresses"]
        return found
