"""Primitives whose parameters hold programs."""
