"""Searching a method's numbers: what may vary, and which values to try next."""
