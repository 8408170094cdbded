"""Scenes: stored values, their source, their validity, and their scaling for the network.

Nothing is imported here, because :class:`geomedsr.scene.scene.Scene` imports most modules of this package.
"""
