"""Saliency methods: where in an image a text finds its match; one file each, one choice in conf/saliency."""
