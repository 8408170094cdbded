"""Third-party upscalers, run as their users run them, for comparison with a model."""
