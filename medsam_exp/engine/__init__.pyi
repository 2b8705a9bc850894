from .engine import Engine as Engine
from .firewall import refuse_learnt_images as refuse_learnt_images
