"""Vetoes: when a mask is emptied because its target is not there; one file each, one choice in conf/veto."""
