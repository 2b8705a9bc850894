"""Looking after `outputs/`: what runs there are, what takes the space, which stored results no run needs any more."""
