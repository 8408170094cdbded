"""Repair at the same size: what is broken is made anew, all else stays bit for bit."""
