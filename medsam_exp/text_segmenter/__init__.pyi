from .clipseg import CLIPSeg as CLIPSeg
from .detector import BoxDetector as BoxDetector
from .sam3 import Sam3 as Sam3
from .segmenter import TextMask as TextMask
from .segmenter import TextSegmenter as TextSegmenter
