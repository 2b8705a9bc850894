"""Selection of pseudo-labels: which masks become training labels; one file each, one choice in conf/weak_label.

Every policy has an attribute `source`, which says where its masks come from: "zero_shot" (this pipeline's own),
"folder" (files) or "ground_truth".
"""
