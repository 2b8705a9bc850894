"""How much does each part of the method add? The paper's Table 4 without its last row, on drawn scans or real ones.

Each row has one part more: the saliency map cut at a fixed value, a fine-tuned CLIP, the post-processor, the choice
of connected components, SAM. On drawn scans "fine-tuned" means that the embedded tiny CLIP, which was trained on such
scans from the start, is trained on with DHN-NCE on 2,000 others: the row shows that fine-tuning works in the chain,
not how much medical pairs add to a general CLIP. Answer on 200 held-out scans (expected.json): every part adds, most of
all SAM; fine-tuning adds 0.012 DSC with overlapping intervals.
"""
