"""Runs stages: plans their keys, computes what is not stored yet, keeps test images apart from training images."""
