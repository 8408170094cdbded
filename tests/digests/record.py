"""Record the digests anew: ``python tests/digests/record.py [NAME …]``, all or those of some cases."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from digests.cases import cases, kernels
from digests.facts import facts_of

PATH = Path(__file__).parent / "recorded.json"


def main(names: list[str]) -> None:
    """Make each result and keep what it is."""
    warnings.simplefilter("ignore")
    found = json.loads(PATH.read_text()) if names and PATH.exists() else {"cases": {}}
    found["kernels"] = kernels()
    for name, case in cases().items():
        if not names or name in names:
            with tempfile.TemporaryDirectory() as folder:
                found["cases"][name] = facts_of(case.make(Path(folder)))
    PATH.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
