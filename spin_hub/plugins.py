"""Tables that installed packages extend through entry points: rules, scores, metrics, exports."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from spin_hub.errors import PluginFailed, PluginMissing

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """An entry of a table that an installed package brings.

    Attributes:
        table: the entry-point group, such as ``spin_hub.exports``.
        name: of the entry.
        package, version: of the distribution.
    """

    table: str
    name: str
    package: str
    version: str


class Table(Mapping[str, T], Generic[T]):
    """The library's own entries, then those of installed packages.

    Names come from the packages' metadata, so listing them imports nothing; an entry is loaded when it is first read.
    An own entry is never replaced by a package's.
    """

    def __init__(self, group: str, own: Mapping[str, T | str]) -> None:
        self.group = group
        self._own = own

    def __getitem__(self, name: str) -> T:
        own = self._own.get(name)
        if own is None:
            return cast(T, _plugged(self.group, name))
        return cast(T, _loaded(own)) if isinstance(own, str) else own

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in _points(self.group) if name not in self._own)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in _points(self.group)

    def origin(self, name: str) -> tuple[str, str] | None:
        """Return package and version of an entry that a package brings; or None of an own one.

        Raises:
            KeyError: no entry has this name.
        """
        plugin = self.plugin(name)
        return (plugin.package, plugin.version) if plugin else None

    def plugin(self, name: str) -> Plugin | None:
        """Return the plugin that brings an entry, for a record to name; or None of an own one.

        Raises:
            KeyError: no entry has this name.
        """
        if name in self._own:
            return None
        package = _points(self.group)[name].dist
        return Plugin(self.group, name, package.name, package.version) if package else None

    def needed(self, name: str, plugins: Iterable[Plugin] = ()) -> T:
        """Return the entry that a record names.

        Args:
            name: of the entry.
            plugins: those that the record was made with.

        Raises:
            PluginMissing: the entry came from a package that is not installed here, or nobody knows it.
        """
        if name in self:
            return self[name]
        known = next((plugin for plugin in plugins if (plugin.table, plugin.name) == (self.group, name)), None)
        origin = f" of the package {known.package} {known.version}" if known else ""
        raise PluginMissing(what=self.noun, name=name, origin=origin)

    @property
    def noun(self) -> str:
        """One entry in a word: ``export`` of the group ``spin_hub.exports``."""
        return _noun(self.group)


def registered(group: str, own: Mapping[str, T | str]) -> Table[T]:
    """Make a table of the library's own entries and those of installed packages.

    Args:
        group: of the entry points, such as ``spin_hub.exports``.
        own: name -> entry, or where it is, such as ``spin_hub.exports.lora:LORA``, for a module that takes long to
            import.
    """
    return Table(group, own)


@lru_cache
def _points(group: str) -> Mapping[str, "EntryPoint"]:
    # It takes tens of milliseconds, and most commands name no entry of a package.
    from importlib.metadata import entry_points

    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


@lru_cache
def _loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@lru_cache
def _plugged(group: str, name: str) -> Any:
    point = _points(group)[name]
    try:
        return point.load()
    except Exception as error:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        why = f"{type(error).__name__}: {error}"
        raise PluginFailed(what=_noun(group), name=name, package=package, why=why) from error


def _noun(group: str) -> str:
    return group.rpartition(".")[2].removesuffix("s")
