"""Satellite products as they are delivered: an adapter of geomedsr."""

from geomedsr_products.adapter import ProductsAdapter

__all__ = ["ProductsAdapter"]
