"""Whether a STAC item is valid by stac-valid, without a network: the schemas of STAC that pystac ships, and those of
extensions beside this file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pystac.validation
from stac_validator.stac_validator import StacValidate

EXTENSIONS = Path(__file__).with_name("stac_schemas")
CORE = Path(pystac.validation.__file__).with_name("jsonschemas")

#: The address of a schema that pystac ships under a misspelt one.
COMMON = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/common.json"


class NotValid(AssertionError):
    """An item that stac-valid rejects."""


def check_item(item: dict[str, Any]) -> list[str]:
    """Raise NotValid unless an item is valid; the schemas that it was held against.

    An extension whose schema is not here is asked for at its address, which fails without a network.
    """
    found = [*EXTENSIONS.glob("*.json"), *CORE.rglob("*.json")]
    places = {json.loads(path.read_text())["$id"].rstrip("#"): str(path) for path in found}
    places[COMMON] = str(CORE / "stac-spec/v1.1.0/common.json")
    validator = StacValidate(schema_map=places)
    valid = validator.validate_dict(item)
    told = validator.message[0]
    if not valid:
        raise NotValid(told["error_message"])
    return list(told["schema"])
