"""Makes the reference pages that are written from the code, so that they cannot say anything else than it does.

Usage: script/reference [--check]
  --check  write nothing; exit 1 and name the pages that are not current
"""

import argparse
import ast
import inspect
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from itertools import chain, pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import typer.main

from bakehouse import settings
from bakehouse.cli.main import app
from bakehouse.domain.instance import STATE_CODES, TRANSITIONS, InstanceEvent, InstanceState
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.operations import OPERATIONS, SERVICES
from bakehouse.ec2.registry import Members, Operation
from bakehouse.protocol import model
from bakehouse.protocol.model import ServiceModel, Shape

REFERENCE: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
_MADE: Final = "<!-- Made from the code by script/reference; do not edit. -->"
_WIDTH: Final = 120

#: The services beside EC2: each has one heading for all its operations.
_SERVICE_TITLES: Final = {
    "ebs": "EBS direct APIs",
    "ec2-instance-connect": "EC2 Instance Connect",
    "iam": "Identity and Access Management",
    "rbin": "Recycle Bin",
    "ssm": "Systems Manager",
    "sts": "Security Token Service",
}

#: A part of a module's name to the heading of its table; the first that fits. Others are named as their module.
_NOUNS: Final = {
    "public_access": "Public access",
    "image": "Images",
    "instance_type": "Instance types",
    "instance": "Instances",
    "snapshot": "Snapshots",
    "volume": "Volumes",
    "dhcp_options": "DHCP options",
    "nat_gateway": "NAT gateways",
    "network_acl": "Network ACLs",
    "vpc_endpoint": "VPC endpoints",
    "vpcs": "VPCs",
}

#: What is done with images: with AMIs themselves, by VM import and export, in the Recycle Bin.
_IMAGE_OPERATION: Final = re.compile(
    r"Image|^Import(Instance|Snapshot|Volume)|^(Cancel|Describe|Create)\w*(Import|Export|Conversion|Bundle)\w*Tasks?$"
    r"|BundleInstance|FastLaunch|Uefi|RecycleBin"
)

#: Pattern of names to the reason why such an operation is not answered.
_NOT_ANSWERED: Final = {
    r"\w*FpgaImage\w*": "it is about FPGA images, which are no AMIs and need an FPGA that no host here offers",
    r"BundleInstance|\w+BundleTasks?": "EC2 itself bundles no more, and never bundled what has volumes as here",
    r"Import(Instance|Volume)|\w+ConversionTasks?": "it is the older way in, by a manifest of retired tools;"
    " `ImportImage` and `ImportSnapshot` take the same files",
    "GetInstanceUefiData": "a machine keeps its UEFI variables in QEMU's format, and nothing here writes EC2's",
}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(prog="script/reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is not current")
    check = parser.parse_args().check
    old = [name for name, make in PAGES.items() if not is_current(name, make())]
    for name in old:
        if not check:
            (REFERENCE / name).write_text(PAGES[name]())
        print(f"{'not current' if check else 'wrote'}: docs/reference/{name}")
    return 1 if check and old else 0


def is_current(name: str, text: str) -> bool:
    """Tell whether a page is what would be written."""
    path = REFERENCE / name
    return path.exists() and path.read_text() == text


def operations() -> str:
    """Return the page of the operations: those on images all, those that are answered by service and noun."""
    models: dict[str, ServiceModel] = {name: ServiceModel.load(name) for name in model.API_VERSIONS}
    tables: dict[tuple[str, str], list[tuple[Operation, model.Operation]]] = defaultdict(list)
    for service, answered in SERVICES.items():
        for name, operation in sorted(answered.items()):
            known = models[service].operation(name)
            if known is None:
                raise LookupError(f"the model of {service} has no operation {name}")
            tables[service, _noun(service, operation.handler.__module__)].append((operation, known))
    others = ", ".join(
        f"{len(SERVICES[name])} of {_SERVICE_TITLES[name]}" for name in _SERVICE_TITLES if SERVICES[name]
    )
    known_operations, version = len(models["ec2"].operation_names), model.API_VERSIONS["ec2"]
    head = f"""\
# Operations

{_MADE}

{len(OPERATIONS)} of the {known_operations} operations of EC2's API {version}, and on the same endpoint
{others}.

- An operation that the API has and this page has not, or has without a row below, is answered `UnsupportedOperation`;
  what the API has not `InvalidAction`.
- A member that is refused is refused when a request gives it, and so are some values of the members that are honoured
  (an encrypted volume, for one). The answer names the member. Nothing is ignored.
- `DryRun` works wherever the API has it. Where an operation *repeats* a client token, the same token with the same
  request is answered from what the first one made, and with another request refused: `IdempotentParameterMismatch`.
- `A.(B, C)` stands for the members `A.B` and `A.C`. A member without an inside is honoured with all that is in it.
- In filters `*` and `?` are wildcards; the values of one filter are alternatives, several filters must all hold.
"""
    order = sorted(tables, key=lambda it: (it[0] != "ec2", _SERVICE_TITLES.get(it[0], ""), it[1]))
    texts = chain.from_iterable(_table(noun, tables[service, noun]) for service, noun in order)
    return "\n".join([head, *_images(models["ec2"]), *texts])


def _noun(service: str, module: str) -> str:
    """Return the heading of the table that the operations of a module stand in."""
    if service in _SERVICE_TITLES:
        return _SERVICE_TITLES[service]
    name = module.rpartition(".")[2]
    title = next((title for part, title in _NOUNS.items() if part in name), None)
    return title or name.replace("_", " ").capitalize()


def _images(ec2: ServiceModel) -> Iterator[str]:
    """Write the table of every operation that the model has on images, with the reason of those that are refused."""
    yield "## Everything on images that the API has\n\n| operation | |\n|---|---|"
    for name in sorted(filter(_IMAGE_OPERATION.search, ec2.operation_names)):
        yield f"| `{name}` | {_verdict(name)} |"
    yield ""


def _verdict(name: str) -> str:
    """Tell whether an operation is answered, or why not: in its handler's words, if those refuse, or in the table's."""
    operation = OPERATIONS.get(name)
    summary = "Refuse" if operation is None else _summary(operation)
    if not summary.startswith("Refuse"):
        return "answered"
    reason = next((text for pattern, text in _NOT_ANSWERED.items() if re.fullmatch(pattern, name)), "")
    reason = reason or summary.removeprefix("Refuse").lstrip(".: ").removesuffix(".")
    if not reason:
        raise LookupError(f"{name} is refused without a reason")
    return f"refused: {reason}"


def _table(title: str, operations: Sequence[tuple[Operation, model.Operation]]) -> Iterator[str]:
    """Write the table of a noun; below it the filters of its lists, and why members are refused where that is said."""
    yield f"## {title}\n\n| operation | honours | refuses |\n|---|---|---|"
    notes: list[str] = []
    for operation, known in operations:
        yield _row(operation, known)
        names = sorted({name for table in _filters_of(operation.handler) for name in table.names})
        if not {"Filter", "Filters"}.isdisjoint(operation.honours.tree) != bool(names):
            raise LookupError(f"{operation.name} honours Filters and has no table of them, or the other way round")
        notes += _item(f"filters of `{operation.name}`", [f"`{name}`" for name in names])
        for reason in dict.fromkeys(operation.reasons.values()):
            paths = [f"`{path}`" for path, why in operation.reasons.items() if why == reason]
            notes += _item(f"`{operation.name}` refuses {', '.join(paths)}", [reason])
    yield "\n".join(["", *notes, ""] if notes else [""])


def _row(operation: Operation, known: model.Operation) -> str:
    """Return an operation with the members of its request: those honoured and those refused, the nested ones too."""
    token = known.client_token_member
    repeats = token if token and operation.replay else None
    shared = {"DryRun", repeats} if repeats else {"DryRun"}
    text = f"`{operation.name}`: {_summary(operation)}" + (f" Repeats `{repeats}`." if repeats else "")
    honoured = ", ".join(_written(operation.honours))
    refused = ", ".join(_refused(operation.honours, known.input_shape, shared))
    return f"| {text.replace('|', '&#124;')} | {honoured} | {refused} |".replace("  ", " ")


def _summary(operation: Operation) -> str:
    text = inspect.getdoc(operation.handler) or ""
    return " ".join(text.partition("\n\n")[0].partition(" Source: ")[0].split())


def _item(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        text = f"- {title}: {', '.join(entries)}"
        yield textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _written(members: Members, prefix: str = "") -> list[str]:
    """Return the honoured members of a structure; those of one inside another together."""
    plain = [f"`{prefix}{name}`" for name, inner in sorted(members.tree.items()) if not inner.tree]
    nested = [name for name, inner in sorted(members.tree.items()) if inner.tree]
    return plain + [f"`{_nested(prefix + name, members.tree[name])}`" for name in nested]


def _nested(path: str, members: Members) -> str:
    inner = [_nested(name, below) if below.tree else name for name, below in sorted(members.tree.items())]
    return f"{path}.({', '.join(inner)})" if len(inner) > 1 else f"{path}.{inner[0]}"


def _refused(members: Members, shape: Shape | None, shared: set[str], prefix: str = "") -> list[str]:
    """Return the members of a shape that are refused, and those inside of members that are honoured in part."""
    if shape is None:
        return []
    if shape.type == "list":
        return _refused(members, shape.element.shape, shared, prefix)
    whole = [name for name in sorted(shape.members) if name not in members.tree and name not in shared]
    texts = [f"`{prefix}{name}`" for name in whole]
    if prefix and len(whole) > 1:
        texts = [f"`{prefix}({', '.join(whole)})`"]
    for name, inner in sorted(members.tree.items()):
        if inner.tree:
            texts += _refused(inner, shape.members[name].shape, set(), f"{prefix}{name}.")
    return texts


def _filters_of(function: Callable[..., Any]) -> list[Filters[Any]]:
    """Return the tables of filters that a handler uses, itself or by a function of its noun."""
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        return []
    found: list[Filters[Any]] = []
    for name in _names_in(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, Filters):
            found.append(value)
        elif inspect.isfunction(value) and value.__module__.startswith("bakehouse.ec2") and value is not function:
            found += _filters_of(value)
    return found


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def commands() -> str:
    """Return the page of the command line and the settings."""
    command: Any = typer.main.get_command(app)
    parts = [f"# Commands and settings\n\n{_MADE}\n", *_group("bakehouse", command), *_settings()]
    return "\n".join(parts)


def _group(path: str, command: Any) -> Iterator[str]:
    inner: Mapping[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield from _command(path, command)
        return
    if path == "bakehouse":
        yield f"""\
Data goes to standard output, everything else to standard error. A command that fails says why, then the next step, and
ends with status 1. `{path} --install-completion` adds completion to your shell; `--help` works everywhere.
"""
    for name, below in inner.items():
        yield from _group(f"{path} {name}", below)


def _command(path: str, command: Any) -> Iterator[str]:
    arguments = [it for it in command.params if it.param_type_name == "argument"]
    options = [it for it in command.params if it.param_type_name == "option" and "--help" not in it.opts]
    words = [path, *map(_placeholder, arguments), "[OPTIONS]" if options else ""]
    yield f"## {path}\n\n    {' '.join(words).strip()}\n\n{(command.help or '').strip()}\n"
    described = [it for it in arguments if it.help]
    if described or options:
        yield "| | | default |\n|---|---|---|"
        yield from (f"| `{it.name.upper()}` | {it.help} | |" for it in described)
        yield from (_option(it) for it in options)
        yield ""
    if command.epilog:
        _, *examples = command.epilog.lstrip("\b\n").splitlines()
        yield "\n".join(["```sh", *(line.strip() for line in examples), "```", ""])


def _placeholder(argument: Any) -> str:
    """Return how usage shows an argument: one that may be left out in brackets, one that may be repeated with dots."""
    name = argument.name.upper() + ("" if argument.nargs == 1 else "...")
    return name if argument.required else f"[{name}]"


def _option(option: Any) -> str:
    name = ", ".join(f"`{text}`" for text in chain(option.opts, option.secondary_opts))
    default = option.default
    if callable(default) or default is None or default is False or default == "":
        default = "required" if option.required else ""
    text = option.help
    if isinstance(default, StrEnum):
        text += f" One of {', '.join(f'`{choice}`' for choice in type(default))}."
    shown = default if default in ("", "required") else f"`{default}`"
    return f"| {name} | {text} | {shown} |".replace("|  |", "| |")


def _settings() -> Iterator[str]:
    yield """\
## Settings

A setting is an option of `up` and `serve`, or else an environment variable, or else what the home remembers of its last
server (`settings.json`), or else the default.

| variable | meaning | default |
|---|---|---|
| `BAKEHOUSE_HOME` | Where a server keeps its things; `--home`. | `/var/lib/bakehouse` for root, else `$XDG_DATA_HOME/bakehouse` |
| `BAKEHOUSE_CACHE` | Where built images and packages are kept, for all homes of a user. | `/var/cache/bakehouse` for root, else `$XDG_CACHE_HOME/bakehouse` |"""  # noqa: E501 - a row of a table is a line
    meanings = _attribute_texts(settings.Settings)
    for field in fields(settings.Settings):
        default = "" if field.default is None else f"`{str(field.default).lower()}`"
        yield f"| `BAKEHOUSE_{field.name.upper()}` | {meanings[field.name]} | {default} |".replace("|  |", "| |")
    yield ""


def _attribute_texts(of: type) -> dict[str, str]:
    """Return the text below each attribute of a class, which Python does not keep."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        node.target.id: str(text.value.value).replace("; None is", "; without it")
        for node, text in pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def instance_states() -> str:
    """Return the page of an instance's states and what changes them."""
    states = [state for state in InstanceState if any(state is start for start, _ in TRANSITIONS)]
    head = f"""\
# States of an instance

{_MADE}

Read from `TRANSITIONS` in `src/bakehouse/domain/instance.py`: the state that follows an event (rows) in a state
(columns, with the codes that the API shows). Where nothing stands, the event is refused with `IncorrectInstanceState`.

| | {" | ".join(f"{state} ({STATE_CODES[state]})" for state in states)} |
|---|{"---|" * len(states)}"""
    rows = [
        f"| {event} | {' | '.join(_next(state, event) for state in states)} |".replace("|  ", "| ")
        for event in InstanceEvent
    ]
    return "\n".join([head, *rows, ""])


def _next(state: InstanceState, event: InstanceEvent) -> str:
    following = TRANSITIONS.get((state, event))
    return "" if following is None else str(following)


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "operations.md": operations,
    "commands.md": commands,
    "instance-states.md": instance_states,
}

if __name__ == "__main__":
    sys.exit(main())
