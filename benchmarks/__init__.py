"""Speed of our code against the plain way, each side in the same run."""
