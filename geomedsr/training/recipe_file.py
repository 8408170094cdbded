"""Recipes from YAML files, with overrides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from geomedsr.errors import RecipeError
from geomedsr.training.recipe import Recipe


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name; in a checkout they lie beside it."""
    package = Path(__file__).parents[1]
    folder = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, a file or the name of a shipped one.

    ``overrides`` are dotted ``key=value`` texts, values in YAML; ``data=FOLDER`` is short for ``data.root=FOLDER``.

    Raises:
        RecipeError: no such file, not YAML, or a key or value that the recipe does not know.
    """
    file = Path(path) if Path(path).is_file() else shipped_recipes().get(os.fspath(path), Path(path))
    try:
        content = _unshared(yaml.load(file.read_text(encoding="utf-8"), _Loader))
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(sorted(shipped_recipes()))
        raise RecipeError(
            f"the recipe {file} ({error})", f"a readable YAML file, or one of {names}", "check it"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{file}, which is not YAML ({error})", "a YAML recipe", "correct that line") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{file} holding {type(content).__name__}", "a mapping of keys", "see configs/")
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        value = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
        raise RecipeError(f"{key}{value} in {file}", "a recipe's keys and values", first["msg"]) from error


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, its keys once each."""
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.YAMLError(f"the key {twice[0]!r} twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _unshared(value: Any) -> Any:
    """Mappings and lists without what anchors share, so that an override changes one place."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"the override {override!r}", "key=value, such as steps=1000", "write it so")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"the override {override!r}", "a value in YAML", "quote it") from error
    *path, last = key.split(".") if key != "data" or not isinstance(value, str) else ("data", "root")
    place: Any = content
    for part in path:
        place = place.setdefault(part, {}) if isinstance(place, dict) else _item(place, part)
    if isinstance(place, dict):
        place[last] = value
    elif _item(place, last) is not None:
        place[int(last)] = value
    else:
        raise RecipeError(f"the override {override!r}", "a dotted path through the recipe's keys", "check the key")


def _item(place: Any, part: str) -> Any:
    """What a list holds at a position given as text; None where it holds nothing."""
    return place[int(part)] if isinstance(place, list) and part.isdecimal() and int(part) < len(place) else None
