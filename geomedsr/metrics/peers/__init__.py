"""Other people's upscalers, run as their users run them, to be measured beside a model."""
