"""What is written into a model file after training: what its scenes are like, and how wide intervals must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geomedsr.errors import InputError
from geomedsr.fitness import fitness, ranges_of
from geomedsr.io import open_scene
from geomedsr.metrics.coverage import TOLD, Unit, calibrated, left_out
from geomedsr.metrics.selftest import differences
from geomedsr.models import Descriptor, Model
from geomedsr.models.descriptor import IntervalFacts, Usual
from geomedsr.scene.digest import digest
from geomedsr.scene.scene import Scene
from geomedsr.training.data import split, training_scenes, validation_scenes
from geomedsr.training.recipe import Recipe

#: The fewest units of calibration.
FEWEST = 3


@dataclass(frozen=True)
class Calibration:
    """A card with what was measured. ``coverage`` is, for each unit by name, its coverage of a nominal :data:`TOLD` if
    the other units alone had calibrated."""

    card: Descriptor
    coverage: tuple[tuple[str, float], ...] = ()


def with_usual(model: Model, recipe: Recipe) -> Descriptor:
    """The card with the usual ranges of a recipe's training and validation scenes, and how far self-tests are off.

    Raises:
        RecipeError, InputError: a scene cannot be read.
    """
    card, scenes = model.descriptor, [*training_scenes(recipe), *validation_scenes(recipe)]
    measured = [fitness(scene, card.name) for scene in scenes]
    testable = not card.ports.inputs and card.frame_factor == 1 and card.scale > 1
    off = tuple(differences(model, scenes)) if testable else ()
    return card.model_copy(update={"usual": Usual(figures=ranges_of(measured), scenes=len(measured), told_by=off)})


def of_recipe(model: Model, recipe: Recipe, more: Sequence[Scene] = ()) -> Calibration:
    """What a recipe's scenes tell of a model; its head, if it has one, is calibrated on the validation scenes and
    on ``more``.

    Raises:
        InputError: too few scenes for calibration, or scenes of ``more`` that were trained on.
        RecipeError: a scene cannot be read.
    """
    card = with_usual(model, recipe)
    if card.interval is None:
        return Calibration(card)
    paths = dict.fromkeys(path for _, path in split(recipe)[0])
    facts = replace_facts(card.interval, trained_on=tuple(digest(open_scene(path)) for path in paths))
    card = card.model_copy(update={"interval": facts})
    check_untrained(more, facts)
    return of_scenes(replace(model, descriptor=card), (*validation_scenes(recipe), *more), checked=True)


def of_scenes(model: Model, scenes: Sequence[Scene], kind: str = "", checked: bool = False) -> Calibration:
    """A model's card with its head calibrated on scenes or patients, each a unit of its own.

    Raises:
        InputError: too few units, scenes that were trained on, or scenes that are too small or hold no data.
        ModelError: the model has no head.
    """
    card = model.with_interval().descriptor
    facts = model.descriptor.interval
    assert card is not None
    assert facts is not None
    if len(scenes) < FEWEST:
        raise InputError(
            f"{len(scenes)} unit{'s' * (len(scenes) != 1)} to calibrate an interval on",
            f"{FEWEST} or more independent scenes or patients: with the largest score of n, n of n + 1 new ones reach "
            "the nominal coverage",
            "name more",
        )
    if not checked:
        check_untrained(scenes, facts)
    units = [Unit.of(scene, model) for scene in scenes]
    scores, typical = calibrated(units)
    kind = kind or ("scenes" if model.descriptor.domain == "satellite" else "patients")
    facts = replace_facts(
        facts, scores=scores, typical=typical, kind=kind, calibrated_on=tuple(digest(scene) for scene in scenes)
    )
    coverage = zip((scene.name for scene in scenes), left_out(units, TOLD), strict=True)
    return Calibration(model.descriptor.model_copy(update={"interval": facts}), tuple(coverage))


def check_untrained(scenes: Sequence[Scene], facts: IntervalFacts) -> None:
    """Raise an InputError for a scene that the model was trained on."""
    for scene in scenes:
        if digest(scene) in facts.trained_on:
            raise InputError(
                f"{scene.name}, which the model was trained on, to calibrate it on",
                "scenes that it has not seen",
                "leave it out",
            )


def replace_facts(facts: IntervalFacts, **more: object) -> IntervalFacts:
    """Facts with some changed, checked."""
    return IntervalFacts.model_validate({**facts.model_dump(), **more})
