"""The machine: types, traces, tracers and jaxprs. It knows no primitive by name."""
