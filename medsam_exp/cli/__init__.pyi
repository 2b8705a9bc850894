from .interactive.session import Session as Session
from .pipeline import Pipeline as Pipeline
from .segment.command import segment_images as segment_images
