from .interactive.session import Session as Session
from .segment import segment_images as segment_images
