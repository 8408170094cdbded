"""Native scenes at 1:1, one result pixel to one picture pixel: input, bicubic, realism 0 and 1.

    python examples/native.py [OUT.png] [SCENE.tif COL,ROW,SIDE] …

By default the Sentinel-2 sample as the sensor took it, at 10 m. There is no truth at 2.5 m to compare with: look at it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import geomedsr
from geomedsr import Scene, Window
from geomedsr.models.interpolation import BicubicSkip
from geomedsr.scene.bands import colours

SAMPLE = Path(__file__).parent / "sentinel2_coast/reference.tif"
MODEL, FACTOR, GAP, TITLE = "satellite-x4", 4, 6, 24


def row(scene: Scene, window: Window) -> dict[str, np.ndarray]:
    """Pictures ``(y, x, 3)`` of a window, 0 … 255, by their titles."""
    found = colours(scene.bands)
    picks = [found[name] + 1 for name in ("red", "green", "blue")] if found else [1]
    scene = scene.select(picks)
    coarse = scene.crop(window).data.values[0].astype(float)
    low, high = (np.percentile(coarse, q, axis=(1, 2))[:, None, None] for q in (0.5, 99.5))
    smooth = BicubicSkip(FACTOR).double()(torch.from_numpy(coarse)[None]).numpy()[0]
    made = {"input": coarse.repeat(FACTOR, 1).repeat(FACTOR, 2), "bicubic": smooth}
    for realism in (0, 1):
        result = geomedsr.upscale(scene, MODEL, realism=realism).crop(window.scaled(FACTOR))
        made[f"realism {realism}"] = result.data.values[0].astype(float)
    stretched = {title: np.clip((image - low) / (high - low), 0, 1) * 255 for title, image in made.items()}
    return {title: np.moveaxis(np.broadcast_to(v, (3, *v.shape[1:])), 0, -1) for title, v in stretched.items()}


def main(words: list[str]) -> None:
    """Draw all rows into one picture."""
    out = Path(words[0]) if words else Path("demo/native.png")
    wanted = list(zip(words[1::2], words[2::2], strict=True)) or [(str(SAMPLE), "150,60,80")]
    rows = []
    for path, place in wanted:
        col, line, side = map(int, place.split(","))
        rows.append(row(geomedsr.open(path), Window(col, line, side, side)))
    side = max(image.shape[0] for images in rows for image in images.values())
    size = (len(rows[0]) * (side + GAP) - GAP, len(rows) * (side + GAP) - GAP + TITLE)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, images in enumerate(rows):
        for column, (title, image) in enumerate(images.items()):
            left, top = column * (side + GAP), TITLE + number * (side + GAP)
            sheet.paste(Image.fromarray(image.astype(np.uint8)), (left, top))
            if number == 0:
                pen.text((left + side / 2, TITLE / 2), title, "black", font, "mm")
    out.parent.mkdir(exist_ok=True, parents=True)
    sheet.save(out)
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
