"""One interpreter a file."""
