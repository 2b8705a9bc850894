"""Target presence (absence detection): features of an image and a text, and scores that the target is there."""
