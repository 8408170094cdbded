"""Several operators for several inputs: the image's is kept exactly, the others as far as it leaves them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from toys import PANNED, STACK, Pan, scene, toy

import geomedsr
from geomedsr import Grid, Scene, verify
from geomedsr.errors import ModelError
from geomedsr.geometry import Box, Factors
from geomedsr.inference import process
from geomedsr.operators import BlockMean, KSpaceCrop, Stack


def model() -> geomedsr.Model:
    return toy(ports=PANNED, scale=2, channels=2, operator="toy-guided")


def inputs() -> dict[str, Scene]:
    return {"image": scene(), "guide": scene(80, 66, 1, 5)}


def inside(blocks: np.ndarray) -> np.ndarray:
    """Deviations within 2 × 2 blocks."""
    blocks = blocks.reshape(*blocks.shape[:-2], blocks.shape[-2] // 2, 2, blocks.shape[-1] // 2, 2)
    return np.asarray(blocks - blocks.mean((-3, -1), keepdims=True))


def test_the_image_is_kept_exactly_and_the_guide_as_far_as_that_leaves_it() -> None:
    given = inputs()
    made = process(model(), **given, precision="float32")["image"]
    values = made.data.values
    sums = values.astype(int).reshape(1, 2, 40, 2, 33, 2).sum((3, 5))
    np.testing.assert_array_equal(sums, 4 * given["image"].data.values.astype(int))
    low, span = given["image"].values.bounds()
    mean = ((values - low) / span).mean(1)
    guide = given["guide"].tensor(geomedsr.Window(0, 0, 66, 80)).numpy()[:, 0]
    rounding = float((1 / span).mean())
    off = np.abs(inside(mean) - inside(guide))
    assert np.quantile(off, 0.9) < 2 * rounding  # the rest had no room within the type
    alone = process(model(), **given, conserve=False, precision="float32")["image"].data.values
    assert np.abs(inside(((alone - low) / span).mean(1)) - inside(guide)).mean() > 20 * off.mean()


def test_tiles_equal_the_untiled_result() -> None:
    whole, tiled = (process(model(), **inputs(), tile=tile, precision="float32")["image"] for tile in (64, 9))
    np.testing.assert_array_equal(tiled.data.values, whole.data.values)


def test_it_asks_for_what_its_parts_need() -> None:
    class Eights(Pan):
        alignment = 8, 4
        needs = ("mask",)

    stack = Stack("s", {"guide": Eights(), "image": BlockMean()})
    assert stack.needs == ("guide", "mask")
    assert stack.alignment == (8, 4)
    assert stack.support(Box((0, 1, 5), (1, 2, 6)), (1, 1, 20, 20)) == Box((0, 0, 4), (1, 8, 8))
    frames = Stack("k", {"image": KSpaceCrop(), "guide": Pan()})
    assert frames.whole_frames
    assert frames.support(Box((0, 1, 5), (1, 2, 6)), (1, 1, 20, 20)) == Box((0, 0, 0), (1, 20, 20))
    again = pickle.loads(pickle.dumps(STACK.bind(inputs())))
    assert again.scenes[0][2] == Factors(1, 2, 2)
    with pytest.raises(ModelError, match="without an input guide"):
        process(toy(operator="toy-guided", scale=2, channels=2), image=scene())


def test_training_projects_by_each_the_image_last() -> None:
    torch.manual_seed(0)
    fine, coarse, guide = torch.rand(2, 2, 8, 8), torch.rand(2, 2, 4, 4), torch.rand(2, 1, 8, 8)
    made = STACK.project(fine, coarse, 2, {"guide": guide})
    torch.testing.assert_close(STACK.forward(made, 2), coarse)
    torch.testing.assert_close(
        torch.from_numpy(inside(made.mean(1).numpy())), torch.from_numpy(inside(guide[:, 0].numpy()))
    )


def test_verify_checks_the_images_promise(tmp_path: Path) -> None:
    place = Grid((40, 33), Affine(10, 0, 5e5, 0, -10, 4e6), "EPSG:32633")
    source, result = tmp_path / "in.tif", tmp_path / "out.tif"
    geomedsr.write(scene(grid=place), source)
    made = process(model(), image=geomedsr.open(source), guide=scene(80, 66, 1, 5), precision="float32")["image"]
    geomedsr.write(made, result)
    checks = verify(source, result)
    assert [check for check in checks if check.kept is False] == []
    assert next(check for check in checks if "2 × 2 block" in check.promise).kept
