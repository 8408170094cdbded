"""Every error a user can cause, in one place.

Each message says three things: what was got, what was expected, what to do. The command line prints it as
one ``error: …`` line and exits with 2; anything that is not a :class:`GeomedsrError` is an internal fault.
"""

from __future__ import annotations

from geomedsr.addresses import public


class GeomedsrError(Exception):
    """Base of all errors caused by input, options or surroundings.

    ``got``, ``expected`` and ``remedy`` are short phrases; together they make the one-line message. Addresses in them
    lose user, password and query.
    """

    def __init__(self, got: str, expected: str, remedy: str) -> None:
        got, expected, remedy = public(got), public(expected), public(remedy)
        self.got, self.expected, self.remedy = got, expected, remedy
        super().__init__(got, expected, remedy)

    def __str__(self) -> str:
        line = f"got {self.got}, expected {self.expected}: {self.remedy}"
        return " ".join(line.split())


class SceneWarning(UserWarning):
    """Something about a source that a user should know, and that stops nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(public(message))


class InputError(GeomedsrError, ValueError):
    """The source (file, array, window, band) cannot be used as asked."""


class OutputError(GeomedsrError, OSError):
    """The destination cannot be written as asked."""

    def __init__(self, got: str, expected: str, remedy: str) -> None:
        GeomedsrError.__init__(self, got, expected, remedy)

    __str__ = GeomedsrError.__str__


class ModelError(GeomedsrError, ValueError):
    """A model name or weights file cannot be used."""


class RecipeError(GeomedsrError, ValueError):
    """A training recipe, or an override of it, is wrong."""


class DeviceError(GeomedsrError, RuntimeError):
    """The compute device asked for is not there, or cannot do what is asked."""
