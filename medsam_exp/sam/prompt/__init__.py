"""From a coarse mask to visual prompts for SAM, in the original frame."""
