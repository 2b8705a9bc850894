"""Checks that every method, dataset and measure must pass, of this package or of yours; they need no test runner."""
