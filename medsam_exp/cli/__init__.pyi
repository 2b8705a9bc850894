from .interactive.session import Session as Session
from .pipeline import Pipeline as Pipeline
from .pipeline import segment as segment
from .segment.command import segment_images as segment_images
