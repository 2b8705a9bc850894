"""Is the target of a text in an image at all: features of an image and a text, and scores made from them."""
