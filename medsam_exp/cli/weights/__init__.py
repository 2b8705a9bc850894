"""The embedded networks and the commands that make them."""
