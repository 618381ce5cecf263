"""From a jaxpr to a program."""
