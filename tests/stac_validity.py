"""Whether a STAC item is valid: by the schemas of STAC that pystac ships, and those of extensions beside this file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pystac.validation.stac_validator import JsonSchemaSTACValidator

SCHEMAS = Path(__file__).with_name("stac_schemas")


def check_item(item: dict[str, Any], href: str = "") -> list[str]:
    """Raise pystac's STACValidationError unless an item is valid; the schemas that it was held against.

    An extension whose schema is not here is asked for at its address, which fails without a network.
    """
    validator = JsonSchemaSTACValidator()
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        validator.schema_cache[schema["$id"].rstrip("#")] = schema
    return list(validator.validate(item, "Feature", item["stac_version"], item["stac_extensions"], href))
