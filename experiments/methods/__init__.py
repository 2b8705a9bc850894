"""Which saliency method, post-processor and visual prompt go best together, and does each do what it should?

On drawn scans that no network has seen, with the embedded networks; on folders of real scans the same table shows that
every method runs there, not what it is worth: the embedded networks know drawn scans only.
"""
