"""Sanity checks of text sensitivity: control texts that do not describe the target, and how far the map moves."""
