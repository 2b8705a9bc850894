"""Pruners: when a trial of a search is so clearly bad that the rest of its images need not be scored."""
