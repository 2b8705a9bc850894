"""Pixels whose label is unknown, nnU-Net's `ignore`, from which nothing is learnt; one file each.

Every choice has an attribute `marks`, which says whether it may mark any pixel at all: the labels of a training then
have the class `ignore`. `needs`, where it has one, names what a candidate must know besides its mask.
"""
