"""Real pairs: a fine and a coarse scene of the same area."""
