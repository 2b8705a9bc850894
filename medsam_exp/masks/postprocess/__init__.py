"""From a saliency map to a coarse mask: binarisation first, then a choice of connected components."""
