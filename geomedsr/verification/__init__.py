"""Checks of a result against its source."""
