"""How much each word of a text matters for its match with an image."""
