"""Sharpening: coarse bands made as fine as a guide of the same place, by a model that sees both."""
