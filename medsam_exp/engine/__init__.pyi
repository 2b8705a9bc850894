from .engine import Engine as Engine
from .leakage import refuse_learnt_images as refuse_learnt_images
