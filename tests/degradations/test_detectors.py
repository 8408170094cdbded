"""Dead pixels and stripes: how many, how much, and where."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from geomedsr.degradations import DeadPixels, Stripes
from geomedsr.degradations.dead_pixels import Defects
from geomedsr.degradations.stripes import Miscalibration


def test_the_share_asked_for_is_dead_and_nothing_else_changes() -> None:
    clean = torch.full((1, 2, 300, 300), 0.4)
    out = DeadPixels().apply(clean, Defects(0.02, 1))
    dead = out != clean
    assert float(dead.float().mean()) == pytest.approx(0.02, abs=4 * math.sqrt(0.02 * 0.98 / 180_000))
    assert set(out[dead].tolist()) == {0.0, 1.0}
    assert float(out[dead].mean()) == pytest.approx(0.5, abs=0.05)
    assert not torch.equal(dead[:, 0], dead[:, 1])


def test_what_dead_pixels_show() -> None:
    clean = torch.full((1, 1, 200, 200), 0.4, dtype=torch.float64)
    everywhere = Defects(1.0, 2)
    assert float(DeadPixels(stuck=("low",)).apply(clean, everywhere).max()) == 0
    assert float(DeadPixels(stuck=("high",)).apply(clean, everywhere).min()) == 1
    random = DeadPixels(stuck=("random",)).apply(clean, everywhere)
    assert (float(random.mean()), float(random.var())) == (
        pytest.approx(0.5, abs=0.01),
        pytest.approx(1 / 12, rel=0.03),
    )
    assert torch.equal(random, DeadPixels(stuck=("random",)).apply(clean, everywhere))
    assert torch.equal(DeadPixels().apply(clean, Defects(0.0, 2)), clean)


@pytest.mark.parametrize("lines", ["columns", "rows"])
def test_stripes_are_a_gain_and_an_offset_for_each_line(lines: str) -> None:
    drawn = Miscalibration(0.05, 0.02, lines, 4)  # type: ignore[arg-type]
    part, along = Stripes(), 2 if lines == "columns" else 3
    dark = torch.zeros(1, 2, *((3, 4000) if lines == "columns" else (4000, 3)), dtype=torch.float64)
    offsets = part.apply(dark, drawn)
    bright = part.apply(dark + 1, drawn)
    gains = bright - offsets - 1
    assert torch.equal(offsets.amax(along), offsets.amin(along))  # a line is all one
    assert float(gains.std()) == pytest.approx(0.05, rel=0.05)
    assert float(offsets.std()) == pytest.approx(0.02, rel=0.05)
    assert float((gains * offsets).mean()) == pytest.approx(0, abs=1e-4)
    middle = part.apply(dark + 0.3, drawn)
    torch.testing.assert_close(middle, 0.3 * (1 + gains) + offsets)
    assert not torch.equal(offsets[:, 0], offsets[:, 1])


def test_directions_are_drawn() -> None:
    rng = np.random.default_rng(0)
    assert {Stripes().draw(rng).lines for _ in range(20)} == {"columns"}
    assert {Stripes(lines="either").draw(rng).lines for _ in range(40)} == {"columns", "rows"}
    draws = [Stripes(gain=(0.01, 0.02), offset=(0.0, 0.1)).draw(rng) for _ in range(50)]
    assert all(0.01 <= d.gain <= 0.02 and 0 <= d.offset <= 0.1 for d in draws)
    with pytest.raises(ValidationError, match="0 <= low <= high"):
        Stripes(gain=(0.2, 0.1))
    with pytest.raises(ValidationError, match="<= 1"):
        DeadPixels(fraction=(0.5, 1.5))
