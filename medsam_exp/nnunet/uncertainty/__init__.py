"""How sure an ensemble of networks is of a mask, and whether that says anything about how good the mask is."""
