"""All errors that a user can cause.

Each message says three things: what was got, what was expected, what to do. The command line prints it as
one ``error: …`` line and exits with 2; any exception that is not a :class:`GeomedsrError` is an internal error.
"""

from __future__ import annotations

from geomedsr.addresses import public


class GeomedsrError(Exception):
    """Base class of all errors caused by input, options or the environment.

    ``got``, ``expected`` and ``remedy`` are short phrases; together they make the one-line message. User, password and
    query are removed from addresses in them.
    """

    def __init__(self, got: str, expected: str, remedy: str) -> None:
        got, expected, remedy = public(got), public(expected), public(remedy)
        self.got, self.expected, self.remedy = got, expected, remedy
        super().__init__(got, expected, remedy)

    def __str__(self) -> str:
        line = f"got {self.got}, expected {self.expected}: {self.remedy}"
        return " ".join(line.split())


class SceneWarning(UserWarning):
    """A fact about a source that a user should know, but that does not prevent processing."""

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
    """The requested compute device does not exist, or does not support the request."""
