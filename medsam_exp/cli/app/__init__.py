"""The local web app: one image, one text, every step in sight; nothing leaves the machine."""
