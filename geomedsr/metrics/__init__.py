"""Image quality: how near a result is to a reference."""

from geomedsr.metrics.quality import psnr, ssim

__all__ = ["psnr", "ssim"]
