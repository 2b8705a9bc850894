"""Configuration groups that can be chosen for a single image."""

GROUPS = {
    "clip": "CLIP: matches image and text",
    "saliency": "Saliency: where the text is",
    "postprocess": "Post-processing: from map to coarse mask",
    "component_filter": "Regions of the coarse mask",
    "presence": "Presence score of the text's target",
    "veto": "Veto by the presence score",
    "prompt": "Prompt: what SAM is told",
    "fusion": "Fusion of SAM's proposals",
    "sam": "SAM: draws the mask",
    "mask_filter": "Regions of SAM's mask",
    "text_segmenter": "Rival beside it: a mask from the text alone",
}
"""What each of them is, in the order of the pipeline."""
