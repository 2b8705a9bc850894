"""How good a mask or a map is: pure functions of arrays, then their summary over images."""
