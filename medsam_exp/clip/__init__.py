"""CLIP models through open_clip: load them, encode with them, split their vision tower after a layer."""
