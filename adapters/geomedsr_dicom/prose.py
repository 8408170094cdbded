"""DerivationDescription: how an image was made, in words for people.

Programs read the record (:mod:`geomedsr_dicom.record`). Older results have the words alone, so these are parsed in
their old form.
"""

from __future__ import annotations

import re

from geomedsr._version import __version__
from geomedsr.geometry import Factors
from geomedsr.scene.provenance import Agreement, ModelFacts, Provenance, RunFacts
from geomedsr.scene.provenance.texts import part, part_text

NOT_DIAGNOSTIC = "not for diagnostic use"


def finer(factors: Factors) -> str:
    """How much finer, in words: ``x2 in plane and x5 through plane``."""
    plane = f"x{factors.x} in plane"
    through = f"x{factors.frame} through plane"
    return " and ".join([plane] * (factors.x > 1) + [through] * (factors.frame > 1))


def contribution(factors: Factors) -> str:
    """The software's contribution to an image, in a few words."""
    if factors.volume == 1:
        return "Restoration"
    return f"Super-resolution {finer(factors) if factors.frame > 1 else f'x{factors.x}'}"


def describe(provenance: Provenance) -> str:
    """The words for a provenance."""
    from geomedsr import operators  # imports torch, which takes a second

    if provenance.spikes is not None:
        return (
            f"Spikes of k-space interpolated at the same size by geomedsr {__version__}, without a model; "
            f"{NOT_DIAGNOSTIC}."
        )
    model, operator = provenance.model, provenance.agreement.operator or ""
    what = operators.keeps(operator)
    if provenance.agreement.profile is not None:
        what += f", bells {provenance.agreement.profile:.3g} slice distances wide ({_origin(provenance)}),"
    kept = f"{what} conserved" if provenance.agreement.conserved == "yes" else f"{what} not conserved"
    realism = f", realism {model.realism:g}" if model.realism is not None else ""
    tiling = f", {provenance.run.approximate}" if provenance.run.approximate else ""
    window = f", of its window {part_text(provenance.chosen.window)}" if provenance.chosen.window else ""
    count = model.neighbours
    beside = f", seeing {count} slice{'s' * (count != 1)} before and after" if count else ""
    factors = model.factors or Factors()
    filled = (
        f"{provenance.filled} pixels filled, {provenance.left or 0} left, " if provenance.filled is not None else ""
    )
    what_was_done = "Restored at the same size" if factors.volume == 1 else f"Super-resolved {finer(factors)}"
    return (
        f"{what_was_done} by geomedsr {provenance.software}, model {model.name} {model.version}, "
        f"sha256 {model.sha256}{realism}{beside}{tiling}{window}, {filled}operator {operator}, {kept}. "
        f"{_guessed(factors)} a model's guess, not a measurement; {NOT_DIAGNOSTIC}."
    )


def _origin(provenance: Provenance) -> str:
    return provenance.agreement.profile_origin or "given"


def _guessed(factors: Factors) -> str:
    if factors.volume == 1:
        return "What differs from the source is"
    pixels = ["pixels"] * (factors.x > 1) + ["slices"] * (factors.frame > 1)
    return f"Detail finer than the source's {' or '.join(pixels)} is"


def stated(description: str) -> Provenance:
    """The provenance in the words of a result from before headers held a record; empty if there is none.

    Several derivations follow one another; the last one counts, and names the models of the earlier ones.
    """
    *earlier, last = [Provenance(), *map(_facts, _STATED.finditer(description))]
    return Provenance(
        before=tuple(step for record in earlier[1:] for step in record.steps),
        software=last.software,
        chosen=last.chosen,
        model=last.model,
        agreement=last.agreement,
        run=last.run,
    )


def _facts(found: re.Match[str]) -> Provenance:
    realism, neighbours, window = (found[name] for name in ("realism", "neighbours", "window"))
    facts = Provenance(
        software=found["software"],
        model=ModelFacts(
            name=found["name"],
            version=found["version"],
            sha256=found["sha256"],
            realism=None if realism is None else float(realism),
            factor=int(found["factor"]),
            neighbours=None if neighbours is None else int(neighbours),
        ),
        agreement=Agreement(found["operator"], "no" if found["not"] else "yes"),
        run=RunFacts(tiling=found["tiling"]),
    )
    return facts if window is None else facts.choosing(window=part(window))


_NUMBER = r"\d{1,9}(?:/[1-9]\d{0,3})?"

#: What :func:`describe` wrote when words were all there was; it may write others now.
_STATED = re.compile(
    r"Super-resolved x(?P<factor>[1-9]\d{0,3}) in plane by geomedsr (?P<software>\S+), model (?P<name>\S+) "
    r"(?P<version>\S+), sha256 (?P<sha256>[0-9a-f]{64})(, realism (?P<realism>(1|0(\.\d+)?|\d(\.\d+)?e-\d+)))?"
    r"(, seeing (?P<neighbours>\d{1,2}) slices? before and after)?"
    r"(, (?P<tiling>approximate tiling, halo \d+))?"
    rf"(, of its window (?P<window>{_NUMBER}(?:,{_NUMBER}){{3}}))?, "
    r"operator (?P<operator>\S+), "
    r".*?(?P<not>not )?conserved\.",
    re.ASCII,
)
