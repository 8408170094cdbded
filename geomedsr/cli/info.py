"""``geomedsr info``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from geomedsr.addresses import public
from geomedsr.cli.output import print_json
from geomedsr.errors import InputError
from geomedsr.geometry.crs import crs_name
from geomedsr.geometry.stacking import Stacking, volumes_of
from geomedsr.io import Contents, contents_of, open_scene
from geomedsr.scene.band import Band
from geomedsr.scene.masking import Masking
from geomedsr.scene.scene import Scene


def run(options: argparse.Namespace) -> None:
    """What a path holds."""
    contents = contents_of(options.path)
    if options.fitness:
        _fitness(options)
    elif contents is not None:
        if options.nodata is not None:
            raise InputError(f"--nodata {options.nodata} for a folder of series", "a raster", "leave it out")
        _list(options.path, contents, options.json)
    else:
        _describe(options)


def _fitness(options: argparse.Namespace) -> None:
    """The figures of a scene beside what its model, or that of ``--model``, knows."""
    from geomedsr.fitness.judging import fitness_for
    from geomedsr.models import default_model, load_model

    scene = open_scene(
        options.path, series=options.series, force=True, nodata=options.nodata, resolution=options.resolution
    )
    card = load_model(default_model(scene.domain) if options.model is None else options.model).descriptor
    found = fitness_for(scene, card)
    if options.json:
        print_json(found.json())
        return
    scenes = f", of {card.usual.scenes} scenes" if card.usual.figures else ", whose card tells no usual range"
    print(f"{scene.name} beside what {card.name} {card.version} knows{scenes}")
    for title, text in found.rows or [("too small, or of too little data, to be measured", "")]:
        print(f"  {title}: {text}" if text else f"  {title}")


def _place(place: Any) -> Any:
    """A time as a date and, where it has one, the time of day; another place as it is."""
    if getattr(place, "dtype", None) is not None and place.dtype.kind == "M":
        return str(place.astype("datetime64[s]")).removesuffix("T00:00:00")
    return place.item() if hasattr(place, "item") else place


def _list(path: str, contents: Contents, as_json: bool) -> None:
    """Each series: what it is, or why it cannot be processed."""
    if as_json:
        items = [
            {"key": i.key, "number": i.number, "folder": i.folder, "usable": i.refusal is None, "why_not": i.refusal}
            | dict(i.facts)
            for i in contents.items
        ]
        print_json({"path": path, "series": items, "notes": list(contents.notes)})
        return
    print(f"{path}: {len(contents.items)} series")
    for item in contents.items:
        f = item.facts
        print(f"{item.title}: {f['columns']} × {f['rows']} pixels, {f['files']} file{'s' * (f['files'] != 1)}")
        print(f"  UID     {item.key}")
        if item.folder != ".":
            print(f"  folder  {item.folder}")
        if "spacing_mm" in f:
            _print_geometry(f)
        print(f"  syntax  {f['transfer_syntax']}")
        for warning in f.get("warnings", []):
            print(f"  warning {warning}")
        print("  usable" if item.refusal is None else f"  cannot be processed: {item.refusal}")
    for note in contents.notes:
        print(note)


def _print_geometry(f: Mapping[str, Any]) -> None:
    rows, columns = f["spacing_mm"]
    count = f"{f['slices']} slice{'s' * (f['slices'] != 1)}"
    if f["phases"] > 1:
        count += f" × {f['phases']} phases ({f['kind']}, by {f['phase'] or 'instance number'})"
    step = f", {f['slice_step_mm']:.4g} mm apart" if f["slices"] > 1 else ""
    gaps = f", {f['missing_slices']} missing" if f["missing_slices"] else ""
    print(f"  slices  {count}{step}{gaps}; pixels {rows:.4g} × {columns:.4g} mm (between rows × columns)")
    if "range_1_99" not in f:  # its pixels cannot be read
        return
    low, high = f["range_1_99"]
    units = f" {f['units']}" if f["units"] else ""
    print(f"  values  {f['dtype']}, {f['bits_stored']} bits stored; 1–99 %: {low:.5g} … {high:.5g}{units}")


def _volume(scene: Scene) -> dict[str, Any]:
    """How the slices of a volume lie."""
    planes = scene.grid.planes
    volumes = volumes_of(planes)
    step = abs(Stacking.of(planes[: len(planes) // volumes]).step)
    return {
        "slices": len(planes) // volumes,
        "volumes": volumes,
        "spacing_mm": list(planes[0].spacing),
        "slice_step_mm": step,
    }


def _print_volume(f: Mapping[str, Any], axis: int | None) -> None:
    rows, columns = f["spacing_mm"]
    count = f"{f['slices']} slice{'s' * (f['slices'] != 1)}"
    count += f" × {f['volumes']} volumes" if f["volumes"] > 1 else ""
    step = f", {f['slice_step_mm']:.4g} mm apart" if f["slices"] > 1 else ""
    along = f" along axis {axis} of the file" if axis else ""
    print(f"  slices {count}{step}{along}; pixels {rows:.4g} × {columns:.4g} mm (between rows × columns)")


def _describe(options: argparse.Namespace) -> None:
    scene = open_scene(
        options.path, series=options.series, force=True, nodata=options.nodata, resolution=options.resolution
    )
    frames, _, height, width = scene.shape
    grid = scene.grid
    facts: dict[str, Any] = {
        "path": public(options.path),
        "width": width,
        "height": height,
        "frames": frames,
        "frame_axis": None if scene.frames is None else scene.frames.name,
        "places": None if scene.frames is None else [_place(place) for place in scene.frames.places],
        "dtype": str(scene.dtype),
        "crs": crs_name(grid.crs or grid.gcp_crs),
        "affine": None if grid.affine is None else list(grid.affine[:6]),
        "bounds": None if grid.affine is None else list(grid.bounds),
        "gcps": len(grid.gcps),
        "rpcs": grid.rpcs is not None,
        "epoch": grid.epoch,
        "geolocation": None if grid.geolocation is None else dict(grid.geolocation),
        "mask": scene.masked,
        "bands": _bands(scene),
        "tags": {ns or "default": dict(tags) for ns, tags in scene.tags.items()},
    }
    if grid.planes:
        facts |= _volume(scene)
    if scene.parts is not None:
        facts |= {"resolutions": list(scene.resolutions), "parts": _parts(scene)}
    seen = options.resolution or (scene.resolutions or (None,))[0]
    parts = [part for part in facts.get("parts", ()) if options.resolution is None and part["resolution"] != seen]
    if options.json:
        print_json(facts)
        return
    print(f"{facts['path']}: {width} × {height} pixels, {len(scene.bands)} × {scene.dtype}")
    if scene.frames is not None:
        first, last = facts["places"][0], facts["places"][-1]
        print(f"  {scene.frames.name:<6} {frames}: {first if frames == 1 else f'{first} … {last}'}")
    if grid.affine is not None:
        west, south, east, north = grid.bounds
        size_x, size_y = (grid.affine.a**2 + grid.affine.d**2) ** 0.5, (grid.affine.b**2 + grid.affine.e**2) ** 0.5
        epoch = "" if grid.epoch is None else f" at epoch {grid.epoch:g}"
        print(f"  CRS    {facts['crs'] or 'none'}{epoch}; pixel {size_x:.10g} × {size_y:.10g}")
        print(f"  bounds {west:.10g}, {south:.10g}, {east:.10g}, {north:.10g} (W, S, E, N)")
    elif grid.planes:
        _print_volume(facts, scene.provenance.chosen.slice_axis)
    else:
        place = [f"{len(grid.gcps)} GCPs"] * bool(grid.gcps) + ["RPCs"] * facts["rpcs"]
        place += ["geolocation arrays"] * (grid.geolocation is not None)
        print(f"  placed by {' and '.join(place)}" if place else "  not georeferenced")
    print(f"  mask   {_masked(scene)}")
    _print_bands(facts["bands"])
    for part in parts:
        print(f"  at {part['resolution']:g}: {part['width']} × {part['height']} pixels, {part['dtype']}")
        _print_bands(part["bands"])
    for part in facts.get("parts", ()):
        if part["named"]:
            print(f"  named  at {part['resolution']:g}: {', '.join(part['named'])}")
    for namespace, tags in facts["tags"].items():
        for key, value in tags.items():
            print(f"  tag    {'' if namespace == 'default' else namespace + ':'}{key} = {value}"[:160])


def _parts(scene: Scene) -> list[dict[str, Any]]:
    """What a product has at each resolution; ``named`` are masks and the like, which come only when they are named."""
    if scene.parts is None:
        return []
    found = []
    for part in scene.parts.parts:
        there = scene.at(part.resolution)
        found.append(
            {
                "resolution": part.resolution,
                "width": there.shape[3],
                "height": there.shape[2],
                "dtype": str(there.dtype),
                "affine": None if there.grid.affine is None else list(there.grid.affine[:6]),
                "bands": _bands(there),
                "named": list(part.more),
            }
        )
    return found


def _bands(scene: Scene) -> list[dict[str, Any]]:
    return [
        {
            "number": i,
            "name": b.name,
            "kind": b.kind,
            "role": b.role,
            "wavelength_um": _micrometres(b),
            "nodata": b.nodata,
            "scale": b.scale,
            "offset": b.offset,
            "units": b.units,
            "interpretation": b.interpretation,
        }
        for i, b in enumerate(scene.bands, 1)
    ]


def _micrometres(band: Band) -> float | None:
    """The centre of a band, as GDAL's tags have it."""
    try:
        return float(band.tags.get("IMAGERY", {})["CENTRAL_WAVELENGTH_UM"])
    except (KeyError, ValueError):
        return None


def _print_bands(bands: Sequence[Mapping[str, Any]]) -> None:
    for band in bands:
        extras = [f"shows {band['role']}"] * (band["role"] is not None)
        extras += [] if band["wavelength_um"] is None else [f"{band['wavelength_um']:g} µm"]
        extras += [f"nodata {band['nodata']}"] * (band["nodata"] is not None)
        extras += [f"× {band['scale']:g} + {band['offset']:g}"] * ((band["scale"], band["offset"]) != (1.0, 0.0))
        extras += [str(band["units"])] * bool(band["units"]) + ["nearest"] * (band["kind"] == "nearest")
        print(
            f"  band {band['number']:>3} {band['name']:<12} {band['interpretation']:<10} {', '.join(extras)}".rstrip()
        )


def _masked(scene: Scene) -> str:
    """What besides values tells which pixels are no data."""
    how = {Masking.MASK: "of the whole data set", Masking.OWN: "of each band", Masking.ALPHA: "by an alpha band"}
    words = [word for way, word in how.items() if any(way in found for found in scene.source.masking)]
    return ", and ".join(words) or "none, or by nodata value"
