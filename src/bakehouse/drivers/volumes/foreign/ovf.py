"""OVF, the description of a machine in an OVA: which files are its disks, and in which order.

Source: DMTF DSP0243, "Open Virtualization Format Specification", version 1.1. Element and attribute names are read
without their namespaces, which differ between versions.
"""

import math
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET  # The parser below refuses document types, and with them all entities.

from bakehouse.ports.volumes import UnsafeImage

#: The longest description that is read. Real ones have some 10 KiB.
BYTES_MAX: Final = 1 << 20

#: Source: DMTF CIM, CIM_ResourceAllocationSettingData, ResourceType.
_DISK: Final = "17"

#: A disk in the hardware section is named so.
_HOST_RESOURCE: Final = ("ovf:/disk/", "/disk/")
_HOST_FILE: Final = ("ovf:/file/", "/file/")

_DISKS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _File:
    href: str
    size: str | None


class _NoDocumentType(ET.TreeBuilder):
    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise UnsafeImage("its machine description has a document type, which may name other files")


def disk_files(text: bytes) -> dict[str, int | None]:
    """Return the names of the files that are the machine's disks, in the order of its slots, with their sizes if told.

    Raises:
        UnsafeImage: It is no description of one machine with whole disks in files of the archive.
    """
    root = _parsed(text)
    machines = [element for element in root.iter() if _name(element.tag) == "VirtualSystem"]
    if len(machines) != 1:
        raise UnsafeImage(f"it describes {len(machines)} machines; one is taken")
    files = _files(root)
    disks = _disks(root, files)
    order = _slots(machines[0], disks, files) or list(disks.values())
    if not order:
        raise UnsafeImage("it describes a machine without a disk")
    if len(order) > _DISKS_MAX:
        raise UnsafeImage(f"it describes a machine of {len(order)} disks")
    return {file.href: _size(file) for file in order}


def _parsed(text: bytes) -> ET.Element:
    if len(text) > BYTES_MAX:
        raise UnsafeImage("its machine description is too long")
    parser = ET.XMLParser(target=_NoDocumentType())  # noqa: S314 - no document type, so no entities
    try:
        parser.feed(text)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as err:
        raise UnsafeImage("its machine description is no XML") from err
    if _name(root.tag) != "Envelope":
        raise UnsafeImage("its machine description is no OVF")
    return root


def _files(root: ET.Element) -> dict[str, _File]:
    found = {}
    for element in _elements(root, "References", "File"):
        attributes = _attributes(element)
        compression = attributes.get("compression", "")
        if compression not in ("", "identity"):
            raise UnsafeImage(f"its disks are packed by {compression[:40]}; unpack them first")
        if "chunkSize" in attributes:
            raise UnsafeImage("its disks are cut into pieces; put them together first")
        found[attributes.get("id", "")] = _File(attributes.get("href", ""), attributes.get("size"))
    return found


def _disks(root: ET.Element, files: dict[str, _File]) -> dict[str, _File]:
    found = {}
    for element in _elements(root, "DiskSection", "Disk"):
        attributes = _attributes(element)
        if "parentRef" in attributes:
            raise UnsafeImage("it has a disk that holds the differences to another; only whole disks are taken")
        file = files.get(attributes.get("fileRef", ""))
        if file is None:
            raise UnsafeImage("it has a disk without a file")
        found[attributes.get("diskId", "")] = file
    return found


def _slots(machine: ET.Element, disks: dict[str, _File], files: dict[str, _File]) -> list[_File]:
    """Return the disks in the order of their controllers, and at each one of their addresses."""
    items = [
        {_name(child.tag): (child.text or "").strip() for child in item}
        for item in machine.iter()
        if _name(item.tag) in ("Item", "StorageItem")
    ]
    controllers = {item.get("InstanceID", ""): number for number, item in enumerate(items)}
    found = []
    for number, item in enumerate(items):
        if item.get("ResourceType") != _DISK:
            continue
        file = _host_resource(item.get("HostResource", ""), disks, files)
        place = _number(item.get("AddressOnParent", ""), digits_max=9)
        slot = math.inf if place is None else place
        found.append((controllers.get(item.get("Parent", ""), len(items)), slot, number, file))
    return [file for *_, file in sorted(found, key=lambda drive: drive[:3])]


def _host_resource(name: str, disks: dict[str, _File], files: dict[str, _File]) -> _File:
    for prefixes, named in ((_HOST_RESOURCE, disks), (_HOST_FILE, files)):
        for prefix in prefixes:
            if name.startswith(prefix) and (file := named.get(name.removeprefix(prefix))) is not None:
                return file
    raise UnsafeImage("it has a drive without a disk in the archive")


def _size(file: _File) -> int | None:
    if file.size is None:
        return None
    size = _number(file.size, digits_max=19)
    if size is None:
        raise UnsafeImage(f"its description gives a file's size as {file.size[:40]!r}")
    return size


def _number(text: str, *, digits_max: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits_max else None


def _elements(root: ET.Element, section: str, name: str) -> list[ET.Element]:
    sections = [element for element in root if _name(element.tag) == section]
    return [element for part in sections for element in part if _name(element.tag) == name]


def _attributes(element: ET.Element) -> dict[str, str]:
    return {_name(name): value for name, value in element.attrib.items()}


def _name(qualified: object) -> str:
    """Return a name without its namespace; comments and processing instructions have none."""
    return qualified.rpartition("}")[2] if isinstance(qualified, str) else ""
