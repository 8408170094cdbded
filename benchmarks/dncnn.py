"""DnCNN-3 (Zhang et al. 2017, arXiv:1608.03981), one network for all qualities of JPEG, from its authors' MATLAB file.

``DnCNN3.mat`` lies in ``model`` of github.com/cszn/DnCNN, which states no licence: nothing of it is shipped here.
Reading it needs h5py.
"""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np
import torch
import torch.nn.functional as F

Array = np.ndarray


def loaded(path: str) -> Callable[[Array], Array]:
    """A function that takes artefacts off a grey image ``(y, x)``, bytes in and out."""
    layers = []
    with h5py.File(path) as file:
        for reference in np.ravel(file["net"]["layers"]):
            layer = file[reference]
            if "".join(map(chr, np.ravel(layer["type"]))) == "conv":
                kernel, bias = (np.array(file[part]) for part in np.ravel(layer["weights"]))
                layers.append((kernel, torch.from_numpy(bias.ravel()).float()))
    layers = [(_kernel(kernel, first=i == 0), bias) for i, (kernel, bias) in enumerate(layers)]

    def repaired(image: Array) -> Array:
        decoded = torch.from_numpy(image.astype(np.float32) / 255)[None, None]
        noise = decoded
        with torch.inference_mode():
            for number, (kernel, bias) in enumerate(layers, 1):
                noise = F.conv2d(noise, kernel, bias, padding=1)
                if number < len(layers):
                    noise = noise.relu_()
        found: Array = np.rint(((decoded - noise)[0, 0].numpy() * 255).clip(0, 255))
        return found

    return repaired


def _kernel(stored: Array, first: bool) -> torch.Tensor:
    """``(out, in, y, x)``: HDF5 has MATLAB's axes in reverse, and leaves out those of one."""
    if stored.ndim == 3:
        stored = stored[:, None] if first else stored[None]
    return torch.from_numpy(np.ascontiguousarray(stored.swapaxes(2, 3))).float()
