"""Resources: kinds, versions, change feed, compiled snapshot. Start reading at `engine`."""

from switchgear.resources.engine import ResourceEngine
from switchgear.resources.facade import PluginResources
from switchgear.resources.snapshot import Broken, Snapshot
from switchgear.resources.writer import Remember, Terms

__all__ = ["Broken", "PluginResources", "Remember", "ResourceEngine", "Snapshot", "Terms"]
