"""Training: a recipe file, patches drawn from scenes, degradations, losses, a loop, a model file."""

from geomedsr.training.augment import Augment
from geomedsr.training.loop import train
from geomedsr.training.patches import Patches
from geomedsr.training.recipe import Recipe
from geomedsr.training.recipe_file import load_recipe

__all__ = ["Augment", "Patches", "Recipe", "load_recipe", "train"]
