"""Do the embedded networks find what the text means, and is it the text that finds it?

200 drawn scans that no network has seen, 40 % of them with two different lesions of which the text means one.
The method stands beside four controls that must score clearly lower, or the scans would be too easy: the brightness
of the image instead of saliency, a CLIP that never learnt, texts given to other images, and a box in the middle of
the image given to SAM.
"""
