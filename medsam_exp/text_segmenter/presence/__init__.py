"""Presence scores that a text-prompted segmenter gives by itself."""
