"""Loops over lanes: the program of one lane, if lanes have nothing to do with each other."""

from .apart import LanesApart, take_lanes_apart

__all__ = ["LanesApart", "take_lanes_apart"]
