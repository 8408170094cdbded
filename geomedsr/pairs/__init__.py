"""Real pairs: a fine and a coarse scene of one place."""
