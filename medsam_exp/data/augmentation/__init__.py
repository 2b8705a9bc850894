"""Changes of images under which a mask should stay the same."""
