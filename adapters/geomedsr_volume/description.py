"""The description of 80 characters in a NIfTI header: how a result was made, for people.

geomedsr reads it, too, if another program has kept nothing else of the provenance.
"""

from __future__ import annotations

import re

from geomedsr.scene.provenance import Agreement, ModelFacts, Provenance, RunFacts

#: The most characters in the header, without the final zero.
_LONGEST = 79

_STATED = re.compile(
    r"geomedsr (?P<software>\S+) (?P<name>\S+) (?P<version>\S+) x(?P<factor>[1-9]\d{0,3}) (?P<operator>\S+) "
    r"(?P<agreed>kept|free)(,r(?P<realism>[01](\.\d+)?(e-\d+)?))?(,n(?P<neighbours>\d{1,2}))?(,s(?P<slices>\d{1,4}))?"
    r"(,h(?P<halo>\d+))? "
    r"(?P<sha256>[0-9a-f]{8,})",
    re.ASCII,
)


def describe(provenance: Provenance) -> str | None:
    """A provenance in as many words as fit; None if the provenance is not complete enough."""
    model, agreement = provenance.model, provenance.agreement
    known = (provenance.software, model.name, model.version, model.factor, agreement.operator, model.sha256)
    if None in known or agreement.conserved is None:
        return None
    words = ["kept" if agreement.conserved == "yes" else "free"]
    if model.realism:
        words.append(f"r{model.realism:g}")
    if model.neighbours is not None:
        words.append(f"n{model.neighbours}")
    if model.frame_factor is not None:
        words.append(f"s{model.frame_factor}")
    if provenance.run.approximate:
        words.append(f"h{provenance.run.approximate.rpartition(' ')[2]}")
    *facts, sha256 = known
    start = "geomedsr {} {} {} x{} {} ".format(*facts)
    return f"{start}{','.join(words)} {sha256}"[:_LONGEST]


def described(text: str) -> Provenance:
    """The provenance in a description."""
    found = _STATED.match(text)
    if not found:
        return Provenance()
    facts = found.groupdict()
    realism, neighbours, slices, halo = (facts[name] for name in ("realism", "neighbours", "slices", "halo"))
    return Provenance(
        software=facts["software"],
        model=ModelFacts(
            name=facts["name"],
            version=facts["version"],
            sha256=facts["sha256"],
            realism=None if realism is None else min(float(realism), 1.0),
            factor=int(facts["factor"]),
            neighbours=None if neighbours is None else int(neighbours),
            frame_factor=None if slices is None else int(slices),
        ),
        agreement=Agreement(facts["operator"], "yes" if facts["agreed"] == "kept" else "no"),
        run=RunFacts(tiling=None if halo is None else f"approximate tiling, halo {halo}"),
    )
