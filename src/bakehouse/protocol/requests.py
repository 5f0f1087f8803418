"""A request's parameters to a typed dict, by the service model.

EC2's rules of names: a structure's member follows its structure after a dot, a list's elements are numbered
from 1 (or 0: some clients do), and nothing is around them: `BlockDeviceMapping.1.Ebs.VolumeSize=8`. Numbers
order the elements and mean nothing else; gaps close. A list of one may come without a number.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.form import MAX_PARAMETERS
from bakehouse.protocol.model import Member, Operation, Shape
from bakehouse.protocol.scalars import invalid_value, scalar_reader

#: Names that belong to the query itself and to its signature, in versions 2 and 4. No operation has a
#: parameter of such a name. Source: EC2 API Reference, Common query parameters.
COMMON_PARAMETERS: Final = frozenset(
    {
        "Action",
        "Version",
        "AWSAccessKeyId",
        "AuthParams",
        "Expires",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    }
)

#: Deeper than any input of the model (9 levels with list numbers), shallow enough for recursion.
_MAX_DEPTH: Final = 24

#: A list number has at most so many digits; it is only sorted by.
_MAX_INDEX_DIGITS: Final = 9

#: Part of a parameter name to the value given, or to what is below the name.
_Tree = dict[str, "str | _Tree"]
_Read = Callable[["str | _Tree", str], Any]

#: Stands for a value that counts as not given.
_ABSENT: Final = object()


def parse_request(operation: Operation, parameters: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the operation's input as boto3 would have taken it, keyed by member names.

    A structure is a dict, a list a list, a blob bytes, a timestamp an aware `datetime`. Members that were not
    given, or given empty where the model does not say that empty is a value, are absent.

    Args:
        operation: Whose input it is.
        parameters: Decoded names and values; `Action`, `Version` and those of a signature may be among them.

    Raises:
        ProtocolError: `UnknownParameter`, `MissingParameter`, `InvalidParameterValue`, `InvalidCharacter`,
            `InvalidQueryParameter` (a name given twice, or both as a value and as a structure) or
            `MalformedQueryString` (too many parameters). Nothing else is raised, whatever the parameters are.
    """
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
    tree = _grow_tree(pairs)
    if operation.input_shape is None:
        for name in tree:
            raise _unknown(name)
        return {}
    given: dict[str, Any] = _structure_reader(operation.input_shape)(tree, "")
    return given


def _grow_tree(pairs: Iterable[tuple[str, str]]) -> _Tree:
    """Return the parameters by the parts of their names, without the common ones."""
    tree: _Tree = {}
    count = 0
    for name, value in pairs:
        count += 1
        if count > MAX_PARAMETERS:
            message = f"The request has more than {MAX_PARAMETERS} parameters."
            raise ProtocolError("MalformedQueryString", message)
        if name in COMMON_PARAMETERS:
            continue
        branch, last = (tree, name) if "." not in name else _branch(tree, name)
        if last in branch:
            raise _given_twice(name)
        branch[last] = value
    return tree


def _branch(tree: _Tree, name: str) -> tuple[_Tree, str]:
    """Return where a dotted name belongs, and the last part of it."""
    *parts, last = name.split(".")
    if len(parts) > _MAX_DEPTH:
        raise _unknown(name)
    for part in parts:
        below = tree.get(part)
        if below is None:
            below = tree[part] = {}
        elif isinstance(below, str):
            raise _given_twice(name)
        tree = below
    return tree, last


@cache
def _structure_reader(shape: Shape) -> _Read:
    """Return a reader of the structure from the tree below its name; the name it takes ends with a dot."""
    required = sorted(shape.required)
    readers: dict[str, tuple[str, _Read]] = {}

    def read(tree: str | _Tree, prefix: str) -> Any:  # noqa: ANN401 - a dict, or _ABSENT
        if isinstance(tree, str):
            if tree:
                raise _unknown(prefix.removesuffix("."))
            return _ABSENT
        structure: dict[str, Any] = {}
        for part, below in tree.items():
            known = readers.get(part)
            if known is None:
                known = readers[part] = _member_reader(shape, part, prefix, below)
            name, read_member = known
            value = read_member(below, prefix + part)
            if value is not _ABSENT:
                structure[name] = value
        if not structure and prefix:
            return _ABSENT  # and nothing of what is not there can be missing
        for name in required:
            if name not in structure:
                raise _missing(prefix + shape.members[name].request_name)
        return structure

    return read


def _member_reader(shape: Shape, part: str, prefix: str, below: "str | _Tree") -> tuple[str, _Read]:
    """Return the name and the reader of the member that a request calls `part`."""
    for member in shape.members.values():
        if member.request_name == part:
            return member.name, _reader(member)
    raise _unknown(_first_name(prefix + part, below))


def _reader(member: Member) -> _Read:
    match member.shape.type:
        case "structure":
            return _nested_reader(member.shape)
        case "list":
            return _list_reader(member.shape)
        case _:
            return _value_reader(member)


def _nested_reader(shape: Shape) -> _Read:
    read_structure = _structure_reader(shape)
    return lambda tree, name: read_structure(tree, name + ".")


def _value_reader(member: Member) -> _Read:
    read_scalar = scalar_reader(member.shape)
    empty_is_absent = not (member.empty_is_a_value and member.shape.type in {"string", "blob"})

    def read(value: str | _Tree, name: str) -> Any:  # noqa: ANN401 - whatever the shape is
        if not isinstance(value, str):
            raise _unknown(_first_name(name, value))
        if not value and empty_is_absent:
            return _ABSENT
        return read_scalar(value, name)

    return read


@cache
def _list_reader(shape: Shape) -> _Read:
    element = shape.element
    read_element = _reader(element)
    wrapper = element.request_name
    longest = shape.maximum

    def read(tree: str | _Tree, name: str) -> Any:  # noqa: ANN401 - a list, or _ABSENT
        if isinstance(tree, str):
            if not tree:
                return _ABSENT
            return [read_element(tree, name)]
        if wrapper:
            if tree.keys() != {wrapper}:
                raise _unknown(_first_name(name, tree))
            return read_numbered(tree[wrapper], f"{name}.{wrapper}")
        return read_numbered(tree, name)

    def read_numbered(tree: str | _Tree, name: str) -> list[Any]:
        if isinstance(tree, str):
            raise _unknown(name)
        numbered = _in_order(tree, name)
        if longest is not None and len(numbered) > longest:
            raise invalid_value(str(len(numbered)), name, f"There may be at most {longest} of them.")
        values = []
        for index, below in numbered:
            value = read_element(below, f"{name}.{index}")
            values.append(_empty_element(element.shape, f"{name}.{index}") if value is _ABSENT else value)
        return values

    return read


def _empty_element(shape: Shape, name: str) -> dict[str, Any]:
    """Return what a numbered element is whose value, or all of whose members, came empty.

    A structure is an element still, if it can be without members: the operation says what it lacks.
    """
    if shape.type != "structure":
        raise invalid_value("", name, "The value cannot be empty")
    for lacking in sorted(shape.required):
        raise _missing(f"{name}.{shape.members[lacking].request_name}")
    return {}


def _in_order(tree: _Tree, name: str) -> list[tuple[str, "str | _Tree"]]:
    """Return the elements below a list's name by number, each number once."""
    if len(tree) == 1:
        ((index, below),) = tree.items()
        _number(index, name, below)
        return [(index, below)]
    by_number: dict[int, tuple[str, str | _Tree]] = {}
    for index, below in tree.items():
        number = _number(index, name, below)
        if number in by_number:
            raise _given_twice(f"{name}.{index}")
        by_number[number] = (index, below)
    return [by_number[number] for number in sorted(by_number)]


def _number(index: str, name: str, below: "str | _Tree") -> int:
    if not (index.isascii() and index.isdigit()) or len(index) > _MAX_INDEX_DIGITS:
        raise _unknown(_first_name(f"{name}.{index}", below))
    return int(index)


def _first_name(name: str, below: "str | _Tree") -> str:
    """Return the first full parameter name at or below `name`, as the client sent it."""
    while not isinstance(below, str):
        part, below = next(iter(below.items()))
        name = f"{name}.{part}"
    return name


def _unknown(name: str) -> ProtocolError:
    """Source: EC2 API Reference, Error codes, UnknownParameter; wording as AWS answers it."""
    return ProtocolError("UnknownParameter", f"The parameter {name} is not recognized")


def _missing(name: str) -> ProtocolError:
    """Source: EC2 API Reference, Error codes, MissingParameter; wording as AWS answers it."""
    return ProtocolError("MissingParameter", f"The request must contain the parameter {name}")


def _given_twice(name: str) -> ProtocolError:
    """Source: EC2 API Reference, Common errors, InvalidQueryParameter."""
    return ProtocolError("InvalidQueryParameter", f"The parameter {name} was given more than once.")
