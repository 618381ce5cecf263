"""Compiled programs as text, in figures and in sentences."""
