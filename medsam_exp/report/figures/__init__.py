"""Pictures of a run by matplotlib: every function draws arrays into a figure."""
