"""The embedded networks, trained from scratch: `make tiny-weights`."""
