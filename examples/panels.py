"""Pictures side by side, for the demos."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

#: Panels per inch of picture, and its resolution.
SIDE, DPI = 3.0, 110


def draw(panels: Mapping[str, np.ndarray], path: Path) -> None:
    """Images ``(y, x)`` or ``(y, x, 3)`` of values 0 … 1, whatever their size, each in a panel of one size."""
    figure, axes = plt.subplots(1, len(panels), figsize=(SIDE * len(panels), SIDE + 0.35), layout="constrained")
    for axis, (title, image) in zip(axes, panels.items(), strict=True):
        axis.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=13)
        axis.set_axis_off()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def part(image: np.ndarray, place: tuple[float, float, float]) -> np.ndarray:
    """The same square of ``(…, y, x)``, whatever its pixels: top, left and side, as parts of the height."""
    height = image.shape[-2]
    top, left, side = (round(share * height) for share in place)
    return image[..., top : top + side, left : left + side]
