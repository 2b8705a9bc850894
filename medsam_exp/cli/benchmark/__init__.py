"""How fast the networks are on this machine, against plain references in the same run."""
