"""Public parameters of the image catalogue: who finds which image by which name.

A name belongs to a region. An account sees those versions of it whose image it owns or may launch: the newest of these
is what the name stands for, so nobody is told of an image that is not there for them.
"""

from dataclasses import dataclass

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import ServiceError
from bakehouse.domain.public_parameter import (
    RESOLVE,
    ParameterVersion,
    PublicParameter,
    cannot_resolve,
    parameter_name_invalid,
    parameter_not_found,
    parameter_version_not_found,
    public_parameter_id,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundParameter:
    """A parameter as one account sees it, at one version; the selector is what the request chose it by, or empty."""

    parameter: PublicParameter
    version: ParameterVersion
    selector: str = ""


class PublicParameters:
    """Use cases on public parameters."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def find(self, caller: Caller, asked: str) -> FoundParameter:
        """Return a parameter by its name or ARN, with `:VERSION` behind it or without.

        Refuses what is not there for the caller (ParameterNotFound, ParameterVersionNotFound) and names with blanks
        (ValidationException).
        """
        name, _, selector = _name_of(caller, asked).partition(":")
        parameter = self._context.store.public_parameters.get(public_parameter_id(caller.region, name))
        seen = [] if parameter is None else self._seen(caller, parameter)
        if parameter is None or not seen:
            raise parameter_not_found(name)
        if not selector:
            return FoundParameter(parameter=parameter, version=seen[-1])
        version = next((version for version in seen if str(version.version) == selector), None)
        if version is None:
            raise parameter_version_not_found(name, selector)
        return FoundParameter(parameter=parameter, version=version, selector=f":{selector}")

    def image_id(self, caller: Caller, image_id: str) -> str:
        """Return the image id that a request means, which may name a parameter; refuse one that is not there."""
        return resolved_image_id(self._context, caller, image_id)

    def below(self, caller: Caller, path: str, *, recursive: bool) -> list[FoundParameter]:
        """Return the parameters one level below a path, or all below it, by name.

        Only paths below `/aws` lead to public parameters. Refuses a path that does not begin with a slash:
        ValidationException.
        """
        path = _without_blanks(path)
        if not path.startswith("/"):
            raise parameter_name_invalid(
                "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a "
                'forward slash "/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive).'
            )
        prefix = path.rstrip("/") + "/"
        found = []
        for parameter in self._context.store.public_parameters:
            rest = parameter.name.removeprefix(prefix)
            if parameter.region != caller.region or prefix == "/" or rest == parameter.name:
                continue
            seen = self._seen(caller, parameter)
            if seen and (recursive or "/" not in rest):
                found.append(FoundParameter(parameter=parameter, version=seen[-1]))
        return sorted(found, key=lambda it: it.parameter.name)

    def _seen(self, caller: Caller, parameter: PublicParameter) -> list[ParameterVersion]:
        """Return the versions that are there for the caller."""
        images = self._context.store.images
        return [
            version
            for version in parameter.versions
            if version.account_id == caller.account_id
            or ((image := images.get(version.image_id)) is not None and image.launchable_by(caller.account_id))
        ]


def resolved_image_id(context: AppContext, caller: Caller, image_id: str) -> str:
    """Return the image id that a request means, which may name a public parameter: `resolve:ssm:NAME[:VERSION]`.

    Refuses a parameter that is not there for the caller: InvalidParameterValue.
    """
    if not image_id.startswith(RESOLVE):
        return image_id
    try:
        return PublicParameters(context).find(caller, image_id.removeprefix(RESOLVE)).version.image_id
    except ServiceError as err:
        raise cannot_resolve(image_id) from err


def _name_of(caller: Caller, asked: str) -> str:
    """Return the name in a name or an ARN, with its selector."""
    asked = _without_blanks(asked)
    if asked.startswith("arn:"):
        return asked.removeprefix(f"arn:aws:ssm:{caller.region}::parameter")
    return asked


def _without_blanks(asked: str) -> str:
    """Return a name without blanks around it. Source: SSM API Reference, GetParameter."""
    name = asked.strip()
    if any(character.isspace() for character in name):
        raise parameter_name_invalid("Parameter names can't contain spaces.")
    return name
