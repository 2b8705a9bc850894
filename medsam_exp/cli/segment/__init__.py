"""Folder in, folder out: the command `medsam-exp segment`."""
