"""Image files, masks and datasets."""
