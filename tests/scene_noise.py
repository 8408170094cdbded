"""Relief with smooth and rough places, so that errors differ from place to place."""

import numpy as np


def relief(seed: int, side: int) -> np.ndarray:
    """Hills and patches of texture of random strength, ``(y, x)`` uint16."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency)
    radius[0, 0] = 1

    def hills(fall: float) -> np.ndarray:
        made = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * radius**-fall).real
        return (made - made.mean()) / made.std()

    rough = np.exp(1.2 * hills(2.2)) * hills(0.8)
    return np.clip(3000 + 500 * hills(2) + rng.uniform(40, 120) * rough, 0, 65535).astype("uint16")
