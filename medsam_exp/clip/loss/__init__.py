"""Contrastive losses over B matching image-text pairs: one file each, one choice in conf/loss."""
