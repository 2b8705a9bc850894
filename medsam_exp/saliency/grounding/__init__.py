"""Does the text matter: texts that should not find the target, and how far the map moves under them."""
