"""SAM: an image and visual prompts go in, masks in the original frame come out."""
