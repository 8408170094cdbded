"""Models: architectures, descriptors, model files, and the models shipped with the package."""

from geomedsr.models.descriptor import Descriptor
from geomedsr.models.files import save_model
from geomedsr.models.store import Model, available, default_model, load_model

__all__ = ["Descriptor", "Model", "available", "default_model", "load_model", "save_model"]
