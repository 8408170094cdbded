"""What a scene is: its values, where they come from, which of them are data, and how they become a network's numbers.

Nothing is imported here, since :class:`geomedsr.scene.scene.Scene` imports most of the modules beside it.
"""
