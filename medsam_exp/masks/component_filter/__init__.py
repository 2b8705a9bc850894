"""Which connected components of a mask stay."""
