"""How often an image is drawn in a training, by how far its label is trusted; one file each.

The chance of drawing an image is in proportion to its weight; of several classes the least trusted decides.
`needs`, where a choice has one, names what a candidate must know besides its mask.
"""
