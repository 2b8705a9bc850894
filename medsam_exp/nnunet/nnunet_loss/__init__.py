"""The cross-entropy beside Dice in nnU-Net's loss, and what may stand in its place; one file each."""
