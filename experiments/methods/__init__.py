"""Which saliency method, post-processor and visual prompt go best together, and does each do what it should?

On drawn scans that no network has seen, with the embedded networks; on folders of real scans the same table shows that
every method runs there, not what it is worth: the embedded networks know drawn scans only.

Answer on 200 held-out scans (expected.json): M2IB leads whatever follows (SAM DSC 0.89 with a box), gradient-weighted
rollout comes second (0.74), gScoreCAM third (0.45); Grad-CAM (0.22) is hardly better than attention rollout, which does
not know the text (0.17), and brightness (0.12). The order of M2IB, gScoreCAM and Grad-CAM is that of the paper's table
5. The published frame of M2IB costs 0.09, as the scans are not square. After SAM the post-processor hardly matters;
boxes are a little better than points. M2IB's numbers were tuned on other scans, those of the other methods were not.
"""
