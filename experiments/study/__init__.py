"""A study of what moves DSC: text, map, segmenter and weak labels, with one correction for all comparisons."""
