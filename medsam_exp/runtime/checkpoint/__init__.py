"""Weights on disk, whoever wrote them: read without running code, taken out of what wraps them."""
