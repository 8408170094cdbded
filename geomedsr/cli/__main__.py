"""``python -m geomedsr.cli``."""

import sys

from geomedsr.cli import main

sys.exit(main())
