"""The public parameters of an image: the names that stand for it, and those that ever did."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from bakehouse.app.context import AppContext


@dataclass(frozen=True, slots=True)
class NamesOfImages:
    """For each image of a region that a parameter named."""

    ever: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Every parameter that has it among its versions."""
    now: Mapping[str, str] = field(default_factory=dict)
    """The parameter whose newest version it is."""


class ImageParameters:
    """Use cases on the names of images."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context
        self._known: dict[str, tuple[int, NamesOfImages]] = {}

    def names(self, region: str) -> NamesOfImages:
        """Return the names of a region's images; made again only when a parameter has changed."""
        parameters = self._context.store.public_parameters
        known = self._known.get(region)
        if known is not None and known[0] == parameters.version:
            return known[1]
        ever: dict[str, dict[str, None]] = defaultdict(dict)
        now: dict[str, str] = {}
        for parameter in parameters:
            if parameter.region == region:
                for version in parameter.versions:
                    ever[version.image_id][parameter.name] = None
                now.setdefault(parameter.versions[-1].image_id, parameter.name)
        names = NamesOfImages({image_id: tuple(named) for image_id, named in ever.items()}, now)
        self._known[region] = parameters.version, names
        return names
