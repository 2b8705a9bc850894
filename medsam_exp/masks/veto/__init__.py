"""Vetoes (rejection): when a mask is emptied because its target is absent; one file each, one choice in conf/veto."""
