"""Masks in folders against true masks: the command `medsam-exp evaluate`."""
