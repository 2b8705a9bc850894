"""Does the text matter, and does a lesion that is not there give no mask?

200 drawn scans that no network, setting or calibration has seen, half of them without a lesion; each is asked
for one lesion in a complete sentence, so that the wording does not tell whether it is there. The method stands
without (before) and with (after) the veto by the presence score, which was calibrated on other scans. Asked are
also texts that contradict the scan, that name something no such scan shows, and nonsense: how often do they give no
mask, and how far do they move the map?
"""
