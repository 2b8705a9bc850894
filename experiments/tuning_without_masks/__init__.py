"""Does a score that needs no true mask choose as true masks would?

Many settings of the method segment the same images. For each score without true masks: do settings with a high mean
score have a high mean DSC, and how much DSC is lost by choosing by the score?
"""
