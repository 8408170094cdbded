"""Scenes over thin lines: a small preview at once, and the detail that makes it the original, bit for bit, later."""

from geomedsr.transfer.splitting import Parts, join, split

__all__ = ["Parts", "join", "split"]
