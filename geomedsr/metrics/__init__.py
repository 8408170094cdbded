"""Image quality: how close a result is to a reference."""

from geomedsr.metrics.evaluate import Evaluation, Score, evaluate
from geomedsr.metrics.quality import psnr, ssim

__all__ = ["Evaluation", "Score", "evaluate", "psnr", "ssim"]
