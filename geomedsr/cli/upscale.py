"""``geomedsr upscale``."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geomedsr import operators
from geomedsr.cli.adapting import adapted_facts, adapting_asked
from geomedsr.cli.output import print_json
from geomedsr.cli.places import part_asked, whole_pixels, window_asked
from geomedsr.cli.work import work_asked, writing_asked
from geomedsr.devices import keep_memory
from geomedsr.errors import GeomedsrError, InputError, OutputError, SceneWarning
from geomedsr.geometry import Factors, Window
from geomedsr.inference import process, upscale, write
from geomedsr.inference.adapting import Adapting
from geomedsr.inference.intervals import beside
from geomedsr.inference.slices import ISOTROPIC
from geomedsr.io import Item, contents_of, open_part
from geomedsr.models import default_model, load_model
from geomedsr.models.half_width import INVENTED, PORT
from geomedsr.models.ports import IMAGE
from geomedsr.models.store import default_slices
from geomedsr.scene.provenance import Provenance
from geomedsr.scene.scene import Scene
from geomedsr.sharpening.sharpen import sharpen

if TYPE_CHECKING:
    from geomedsr.metrics.selftest import SelfTest


def run(options: argparse.Namespace) -> int | None:
    """One source, or every series under it."""
    keep_memory()  # before threads are started
    if options.all:
        return _upscale_all(options)
    started = time.perf_counter()
    facts = _upscale_one(options, options.src, options.dst, options.series)
    seconds = time.perf_counter() - started
    if options.json:
        print_json({**facts, "seconds": round(seconds, 3)})
    elif not options.quiet:
        print(f"{options.dst}: {facts['what']}, {seconds:.1f} s")
        if facts["sharpened"]:
            print(f"sharpened before: {'; '.join(facts['sharpened'])}")
        if facts["profile"]:
            print(f"slices were taken for {facts['profile']}")
        if facts["adapted"]:
            print(f"adapted: {facts['adapted']['what']}")
        if facts["resumed"]:
            print(f"went on after a stop: {facts['resumed']} of {facts['regions']} regions were there")
        if facts["nearest"]:
            print(f"carried over nearest-neighbour: {', '.join(facts['nearest'])}")
        if facts["deviation"] is not None:
            print(
                f"rounding and clipping moved the result's {facts['seen']} by at most {facts['deviation']:.2g} counts"
            )
    if options.dst.lower().endswith((".jpg", ".jpeg")) and not options.quiet:
        print("note: JPEG is lossy, so block means hold only roughly; write .tif or .png", file=sys.stderr)
    return None


def _upscale_one(options: argparse.Namespace, src: str, dst: str, series: str | None) -> dict[str, Any]:
    """Open, upscale, write; what was done."""
    if options.sharpen and options.resolution is not None:
        raise InputError(
            f"--resolution {options.resolution:g} with --sharpen, after which there is one, the finest",
            "one of the two",
            "leave one out, or choose --bands",
        )
    scene = open_part(
        src,
        () if options.sharpen else options.bands or (),
        series=series,
        force=options.force,
        nodata=options.nodata,
        slice_axis=options.slice_axis,
        resolution=options.resolution,
        mask=options.mask,
        alternate=options.alternate,
    )
    if options.sharpen:
        scene = _sharpened(options, scene)
    if options.nearest is not None:
        scene = scene.with_nearest(options.nearest)
    if options.bands is not None and not options.sharpen:
        scene = scene.select(options.bands)
    if options.physical and not options.sharpen:
        scene = scene.in_units()
    if options.range is not None:
        scene = scene.with_range(*options.range)
    if options.values_per_frame:
        scene = scene.with_values_per_frame()
    if options.self_test and (options.slices or options.isotropic):
        raise InputError("--self-test with --slices", "one of the two", "test slices with benchmarks/slices.py")
    window = window_asked(options, scene)
    if options.sharpen:
        window = whole_pixels(window, scene)
    unlike = _unlike(options, scene)
    adapt = adapting_asked(options, dst)
    sr, more = _made(options, scene, adapt)
    tested = _tested(options, scene, window)
    provenance = sr.provenance
    factors = (provenance.model.factors or Factors()) * (provenance.earlier if options.in_plane > 1 else Factors())
    sr = part_asked(options, sr, window, factors.x)
    destinations = {dst: sr}
    destinations |= {path: part_asked(options, each, window, factors.x) for path, each in more.items()}
    written = write(
        destinations,
        **writing_asked(options),
    )[dst]
    frames, bands, height, width = sr.shape
    model = f"{provenance.model.name} {provenance.model.version}"
    if options.in_plane > 1:
        model = f"{provenance.before[-1].model} {provenance.before[-1].version} and {model}"
    if provenance.model.realism:
        model += f", realism {provenance.model.realism:g}"
    if provenance.run.approximate:
        model += f", {provenance.run.approximate}"
    slices = f"{frames} slice{'s' * (frames != 1)} of " if sr.grid.planes else ""
    return {
        "output": dst,
        "stac": written.item,
        "what": f"{slices}{width} × {height} pixels, {bands} × {sr.dtype}, {factors.words} by {model}",
        "width": width,
        "height": height,
        "frames": frames,
        "bands": [b.name for b in sr.bands],
        "nearest": [b.name for b in sr.bands if b.kind == "nearest"],
        "dtype": str(sr.dtype),
        "deviation": written.deviation,
        "seen": operators.get(provenance.agreement.operator or operators.BlockMean.name).seen,
        "regions": written.regions,
        "resumed": written.resumed,
        "profile": _profile(provenance),
        "adapted": None if adapt is None else adapted_facts(adapt, provenance),
        "sharpened": [f"×{step.factor} by {step.model} {step.version}" for step in scene.provenance.steps],
        "provenance": dict(sr.provenance),
        "unusual": unlike,
        **({} if options.interval is None else {"interval": _interval(options, sr)}),
        **({} if tested is None else {"self_test": tested.json()}),
    }


def _made(options: argparse.Namespace, scene: Scene, adapt: Adapting | None) -> tuple[Scene, dict[str, Scene]]:
    """The result, and what goes into files of its own, by path; all is computed when it is written."""
    if options.interval is None:
        for word in ("interval_to", "invented_to", "interval_conservative"):
            if getattr(options, word):
                raise InputError(
                    f"--{word.replace('_', '-')} without --interval", "a share of pixels", "add --interval 0.9"
                )
        made = upscale(
            scene,
            options.model,
            realism=options.realism,
            **work_asked(options),
            conserve=not options.no_conserve,
            slices=ISOTROPIC if options.isotropic else options.slices,
            in_plane=options.in_plane,
            in_plane_model=options.in_plane_model,
            profile=options.profile,
            adapt=adapt,
            fitness=False,  # told before
        )
        return made, {}
    thin = options.slices or options.isotropic or options.in_plane > 1
    if thin or options.in_plane_model or options.profile or options.adapt:
        raise InputError("--interval with options of new slices", "one of the two", "leave one of them out")
    if options.all and (options.interval_to or options.invented_to):
        word = "--interval-to" if options.interval_to else "--invented-to"
        raise InputError(f"{word} with --all", "one series", "choose it with --series")
    if scene.grid.planes and options.interval_to is None:
        raise InputError(
            f"--interval for {scene.name}, a series of slices, without --interval-to",
            "a place for its half-widths",
            "add --interval-to FILE.nii.gz, or a folder for DICOM's Parametric Maps",
        )
    outputs = process(
        options.model or default_model(scene.domain),
        image=scene,
        realism=options.realism,
        **work_asked(options),
        conserve=not options.no_conserve,
        interval=options.interval,
        conservative=options.interval_conservative,
    )
    more = {}
    if options.invented_to is not None:
        if INVENTED.name not in outputs:
            raise InputError(
                "--invented-to for a result at realism 0, which leaves no interval of its own",
                "a realism above it",
                "add --realism, or leave it out",
            )
        more[options.invented_to] = outputs[INVENTED.name]
    if options.interval_to is None:
        return beside(outputs[IMAGE], outputs[PORT.name]), more
    return outputs[IMAGE], {options.interval_to: outputs[PORT.name], **more}


def _interval(options: argparse.Namespace, sr: Scene) -> dict[str, Any]:
    """What was done about half-widths."""
    told = sr.provenance.interval
    if not options.quiet and not options.json:
        scale = "a self-test of this scene" if told.scale == "self-test" else "what is typical, without a self-test"
        print(f"half-widths around realism 0 for {told.nominal:g} of the pixels: {told.rule}, on the scale of {scale}")
        if told.invented is not None:
            print(f"invented: {100 * told.invented:.1f} % of the pixels leave the interval of realism 0")
    return {
        "nominal": told.nominal,
        "rule": told.rule,
        "scale": told.scale,
        "invented": told.invented,
        "output": options.interval_to,
    }


def _unlike(options: argparse.Namespace, scene: Scene) -> list[str]:
    """Warn of a scene that is unlike what the model knows, and return the figures that are unusual."""
    if options.quiet and not options.json:
        return []
    from geomedsr.fitness.judging import unlike

    default = default_slices if options.slices is not None or options.isotropic else default_model
    model = load_model(default(scene.domain) if options.model is None else options.model)
    found = unlike(scene, model.descriptor)
    if found is None:
        return []
    if found.warning is not None:
        warnings.warn(found.warning, SceneWarning, stacklevel=2)
    return found.unusual


def _profile(provenance: Provenance) -> str | None:
    """What slices were taken to be, and who says so, in words; None where no new ones were made."""
    of = provenance.agreement if provenance.model.frame_factor else None
    last = provenance.before[-1] if provenance.before else None
    if of is None and (last is None or last.profile_origin is None):
        return None
    width, origin = (of.profile, of.profile_origin) if of is not None else (last.profile, last.profile_origin)  # type: ignore[union-attr]
    kind = "boxes side by side" if width is None else f"bells {width:.3g} times as wide as they are apart"
    return f"{kind} ({origin or 'assumed'})"


def _tested(options: argparse.Namespace, scene: Scene, window: Window | None) -> SelfTest | None:
    """The self-test of what is to be upscaled, if it was asked for; before anything is written: it may be refused."""
    if not options.self_test:
        return None
    from geomedsr.metrics.selftest import selftest

    part = scene if window is None else scene.crop(window)
    part = part if options.aoi is None else part.within(options.aoi)
    found = selftest(part, options.model, realism=options.realism)
    if not (options.quiet or options.json):
        print(f"self-test: {found}")
    return found


def _sharpened(options: argparse.Namespace, product: Scene) -> Scene:
    """All bands of a product at its finest resolution, to be made finer still."""
    if len(product.resolutions) < 2:
        raise InputError(
            f"--sharpen for {product.name}, which has one resolution",
            "a product of several",
            "sharpen a file by a finer one first: `geomedsr sharpen COARSE --guide FINE`",
        )
    return sharpen(
        product.in_units() if options.physical else product,
        bands=options.bands,
        **work_asked(options),
        conserve=not options.no_conserve,
    )


def _upscale_all(options: argparse.Namespace) -> int:
    """Every usable series under a root; a summary of what was done, what was skipped, and why."""
    contents = contents_of(options.src)
    if contents is None:
        raise InputError(f"--all for {options.src}", "a folder of DICOM series", "leave it out")
    if os.path.realpath(options.dst) == os.path.realpath(options.src):
        raise OutputError(f"the output {options.dst}, which holds the input", "another folder", "choose another name")
    done: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for item, dst in zip(contents.items, places(contents.items, options.dst), strict=True):
        started = time.perf_counter()
        about = {"title": item.title, "key": item.key, "folder": item.folder}
        if item.refusal is not None and not (options.force and "made by geomedsr" in item.refusal):
            skipped.append({**about, "why": item.refusal})
            continue
        try:
            facts = _upscale_one(options, options.src, dst, item.key)
        except GeomedsrError as error:
            skipped.append({**about, "why": str(error)})
            continue
        done.append({**about, **facts, "seconds": round(time.perf_counter() - started, 3)})
        if not options.quiet and not options.json:
            print(f"{dst}: {item.title}, {facts['what']}, {done[-1]['seconds']:.1f} s")
    if options.json:
        print_json({"done": done, "skipped": skipped, "notes": list(contents.notes)})
    elif not options.quiet:
        for entry in skipped:
            print(f"skipped {entry['title']}: {entry['why']}")
        for note in contents.notes:
            print(note)
        print(f"{len(done)} series done, {len(skipped)} skipped")
    if not done:
        first = f": {skipped[0]['why']}" if skipped else ""
        raise InputError(
            f"{options.src}, none of whose {len(skipped)} series was upscaled{first}", "at least one", "see above"
        )
    return 0


def _inside(folder: str, outer: str) -> bool:
    return outer == os.curdir or folder.startswith(outer + os.sep)


def places(items: Sequence[Item], root: str) -> list[str]:
    """Where each series goes: a tree like the source's, with a folder per series where several lie in one."""
    crowds = Counter(item.folder for item in items)
    taken: Counter[str] = Counter()
    targets = []
    for item in items:
        path = os.path.join(root, item.folder)
        holds = any(other.folder != item.folder and _inside(other.folder, item.folder) for other in items)
        if crowds[item.folder] > 1 or holds:  # a result's folder holds nothing but itself
            path = os.path.join(path, f"series-{item.number if item.number is not None else 'unnumbered'}")
        path = os.path.normpath(path)
        taken[path] += 1
        targets.append(path if taken[path] == 1 else f"{path}-{taken[path]}")
    return targets
