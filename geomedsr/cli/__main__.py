"""``python -m geomedsr.cli``."""

import sys

from geomedsr.cli import command

sys.exit(command())
