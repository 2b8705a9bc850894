"""Uncertainty of checkpoint ensembles: maps, scores, calibration, and how well they predict errors."""
