"""Keys of encrypted disks in what is written down of a machine, and in what QEMU is told."""

import json

import msgspec
from tests.vm.boot_sector import machine_spec

from bakehouse.drivers.hypervisor.qemu import layer_keys
from bakehouse.ports.hypervisor import MachineDisk, MachineSpec
from bakehouse.ports.volumes import FileBelow, LayerKey, VolumeConnection

TOP, BELOW = LayerKey(id="dk-1", passphrase="of the top"), LayerKey(id="dk-2", passphrase="of what is below")


def encrypted_machine() -> MachineSpec:
    connection = VolumeConnection(
        driver="file",
        path="/top.qcow2",
        format="qcow2",
        size_bytes=1 << 20,
        key=TOP,
        below=(FileBelow(path="/below.qcow2", format="qcow2", key=BELOW), FileBelow(path="/plain.raw", format="raw")),
    )
    return machine_spec("i-1", MachineDisk(volume_id="vol-1", connection=connection))


def test_what_is_written_down_of_a_machine_has_no_key() -> None:
    written = msgspec.json.encode(layer_keys.without_keys(encrypted_machine()))

    assert b"of the" not in written
    assert b"/below.qcow2" in written


def test_a_machine_s_keys_are_those_of_all_its_files() -> None:
    connections = [disk.connection for disk in encrypted_machine().disks]

    assert layer_keys.of_connections(connections) == {"dk-1": TOP, "dk-2": BELOW}


def test_arguments_name_keys_and_descriptors_alone() -> None:
    assert layer_keys.arguments({"dk-1": 7}) == ["-object", "secret,id=dk-1,file=/dev/fd/7"]


def test_every_file_below_is_described_with_its_key() -> None:
    (disk,) = encrypted_machine().disks

    options = layer_keys.backing(disk.connection.below, TOP, flush=True)

    first = options["backing"]
    assert (first["file"]["filename"], first["encrypt"]["key-secret"]) == ("/below.qcow2", "dk-2")
    assert first["backing"]["file"]["filename"] == "/plain.raw"
    assert "of the" not in json.dumps(options)


def test_a_disk_without_encryption_finds_what_is_below_by_itself() -> None:
    assert layer_keys.backing((), None, flush=True) == {}


def test_an_encrypted_disk_with_nothing_below_says_so() -> None:
    assert layer_keys.backing((), TOP, flush=True) == {"backing": None}
