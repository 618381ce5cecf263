"""The machine: types, traces, tracers and jaxprs. It knows no primitive by name."""

from . import printing as printing  # from here on a jaxpr is text where it is shown
