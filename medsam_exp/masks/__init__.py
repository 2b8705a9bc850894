"""From a saliency map to a coarse mask: post-processing, connected components, presence of the target, veto."""
