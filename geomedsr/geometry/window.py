"""A rectangle of pixels, as users name it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: columns ``col … col + width``, rows ``row … row + height``."""

    col: int
    row: int
    width: int
    height: int

    def __str__(self) -> str:
        """The form that ``--window`` accepts."""
        return f"{self.col},{self.row},{self.width},{self.height}"

    @property
    def stop(self) -> tuple[int, int]:
        """``(row, col)`` just past the last pixel."""
        return self.row + self.height, self.col + self.width

    def scaled(self, factor: int) -> Window:
        """The same area on a grid ``factor`` times finer."""
        return Window(self.col * factor, self.row * factor, self.width * factor, self.height * factor)

    def coarser(self, factor: int) -> Window:
        """The smallest window on a grid ``factor`` times coarser that covers this one."""
        row, col = self.row // factor, self.col // factor
        end_row, end_col = -(-self.stop[0] // factor), -(-self.stop[1] // factor)
        return Window(col, row, end_col - col, end_row - row)

    def shifted(self, cols: int, rows: int) -> Window:
        """The window moved by whole pixels."""
        return replace(self, col=self.col + cols, row=self.row + rows)

    def grown(self, margin: int) -> Window:
        """The window with ``margin`` more pixels on each side; it may leave the raster."""
        return Window(self.col - margin, self.row - margin, self.width + 2 * margin, self.height + 2 * margin)

    def clipped(self, shape: tuple[int, int]) -> Window:
        """The part of the window that lies inside a ``(height, width)`` raster."""
        row, col = max(self.row, 0), max(self.col, 0)
        return Window(col, row, min(self.stop[1], shape[1]) - col, min(self.stop[0], shape[0]) - row)

    def common(self, other: Window) -> Window:
        """The intersection of two windows; its size is 0 or negative where they do not overlap."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(col, row, min(self.stop[1], other.stop[1]) - col, min(self.stop[0], other.stop[0]) - row)

    def inside(self, shape: tuple[int, int]) -> bool:
        """Whether the window holds at least one pixel and none outside a ``(height, width)`` raster."""
        return (
            min(self.width, self.height) > 0
            and min(self.col, self.row) >= 0
            and self.stop[0] <= shape[0]
            and self.stop[1] <= shape[1]
        )
