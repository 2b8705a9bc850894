"""From downloads as their authors publish them to the folders that the pipeline reads."""
