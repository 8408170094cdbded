"""The adapter's face to the registry: whole products are read, and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

from geomedsr.errors import GeomedsrError, InputError, OutputError
from geomedsr.io import Adapter, Sink
from geomedsr.scene.scene import Scene
from geomedsr_products import band_files, landsat, sentinel2, stac
from geomedsr_products.scenes import scene_of

#: Families of products, as :mod:`geomedsr_products.product` says, in the order in which they are asked.
FAMILIES: tuple[ModuleType, ...] = (sentinel2, landsat, stac, band_files)


class ProductsAdapter(Adapter):
    """Reads satellite products as they are delivered, by their metadata; their bands are opened through the core."""

    #: A product's folder is none of DICOM files, and its metadata are no raster, though GDAL would take them for one.
    priority: ClassVar[int] = -10

    options = ("mask", "part", "alternate")
    title = "a product"

    def can_open(self, path: str) -> bool:
        """Whether a family of products recognises it, by names alone."""
        return _family(path) is not None

    def open(
        self,
        path: str,
        series: str | None = None,
        force: bool = False,
        mask: str | None = None,
        part: tuple[float | None, Sequence[str | int]] = (None, ()),
        alternate: str | None = None,
        **options: Any,
    ) -> Scene:
        """The part of a product; ``series`` chooses one of several tiles, ``mask`` what is to be no data, ``alternate``
        by which of their addresses the assets of a STAC item are read.
        """
        family = _family(path)
        assert family is not None
        if alternate is None:
            return scene_of(family.describe(path, series), mask, *part)
        if family is not stac:
            item = "a STAC item, whose assets have some"
            raise InputError(f"--alternate {alternate} for {path}", item, "leave it out")
        return scene_of(stac.describe(path, series, alternate), mask, *part)

    def explain(self, path: str) -> GeomedsrError | None:
        """Nothing: whatever looks like a product is taken, and described when it is opened."""
        return None

    def can_write(self, scene: Scene, path: str) -> bool:
        """Never."""
        return False

    def sink(self, scene: Scene, path: str, overwrite: bool, **options: Any) -> Sink:
        """None."""
        raise OutputError(f"the output {path}", "another format", "write .tif")


def _family(path: str) -> ModuleType | None:
    return next((family for family in FAMILIES if family.recognises(path)), None)
