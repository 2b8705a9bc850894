"""How well the masked part of an image matches its text: scores of masks without true ones."""
