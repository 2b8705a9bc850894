"""Text-driven medical image segmentation after MedCLIP-SAMv2 (arXiv 2409.19483)."""

__version__ = "0.2.0"
