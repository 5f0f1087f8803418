from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.hypervisor.qemu import block_nodes
from bakehouse.drivers.hypervisor.qemu.block_nodes import NodeName

#: Source: QEMU's `node_name[32]`, which holds an end mark too.
MAX_NAME = 31

volume_ids = st.text("0123456789abcdef", min_size=17, max_size=17).map("vol-{}".format)
numbers = st.integers(0, 10**6)


@given(volume_ids, numbers)
def test_a_nodes_name_can_be_read_again(volume_id: str, number: int) -> None:
    assert block_nodes.node_name(str(NodeName(volume_id, number))) == NodeName(volume_id, number)


@given(volume_ids, numbers)
def test_names_are_short_enough_for_qemu(volume_id: str, number: int) -> None:
    assert len(NodeName(volume_id, number).file) <= MAX_NAME


@given(volume_ids, numbers)
def test_the_node_of_a_file_is_not_taken_for_a_volumes(volume_id: str, number: int) -> None:
    assert block_nodes.node_name(NodeName(volume_id, number).file) is None


@given(st.integers(0, 100), volume_ids)
def test_a_disks_id_tells_its_port(port: int, volume_id: str) -> None:
    assert block_nodes.port_of(block_nodes.device_id(port, volume_id)) == port


@given(st.integers(0, 100))
def test_a_node_of_nothing_tells_its_port(port: int) -> None:
    assert block_nodes.port_of_void(block_nodes.void_node(port)) == port


def test_names_that_qemu_made_are_nobodys() -> None:
    assert [read("#block123") for read in (block_nodes.node_name, block_nodes.port_of, block_nodes.port_of_void)] == [
        None,
        None,
        None,
    ]


def test_a_later_node_is_higher() -> None:
    assert NodeName("vol-0", 10) > NodeName("vol-0", 9)
