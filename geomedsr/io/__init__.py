"""Input and output of the core: adapters, sinks, atomic files, resumable jobs."""

from geomedsr.io.adapter import Adapter, Contents, Item
from geomedsr.io.jobs import Scratch
from geomedsr.io.publishing import Move
from geomedsr.io.registry import adapter_for, contents_of, installed, open_pair, open_part, open_scene, open_sink
from geomedsr.io.sink import Sink

__all__ = [
    "Adapter",
    "Contents",
    "Item",
    "Move",
    "Scratch",
    "Sink",
    "adapter_for",
    "contents_of",
    "installed",
    "open_pair",
    "open_part",
    "open_scene",
    "open_sink",
]
