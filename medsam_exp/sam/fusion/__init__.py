"""From the masks that SAM gives for one prompt to one mask."""
