from . import metrics as metrics
from . import saliency as saliency
from .cli.interactive.result import Answer as Answer
from .cli.pipeline import Pipeline as Pipeline
from .cli.pipeline import segment as segment
from .cli.run import run as run
from .clip import loss as losses  # noqa: F401
from .clip.load import load_clip as load_clip
from .clip.loss.dhn_nce import DHNNCE as DHNNCE
from .clip.loss.infonce import InfoNCE as InfoNCE
from .clip.model import ClipModel as ClipModel
from .data.folder import FolderDataset as FolderDataset
from .data.image import ImageDataset as ImageDataset
from .data.phantom.dataset import PhantomDataset as PhantomDataset
from .masks.postprocess.kmeans import KMeans as KMeans
from .metrics.overlap import dice as dice
from .metrics.overlap import iou as iou
from .metrics.paired import compare_pairs as compare_pairs
from .metrics.scores import SegmentationMeasures as SegmentationMeasures
from .saliency.gradcam import GradCAM as GradCAM
from .saliency.m2ib import M2IB as M2IB
from .sam.load import load_sam as load_sam
from .sam.model import SamModel as SamModel
from .sam.prompt.box import BoxPerComponent as BoxPerComponent
from .sam.promptable import PromptableModel as PromptableModel
from .stages.pipeline import Stage as Stage
from .stages.pipeline import register_stage as register_stage
from .types import Prompts as Prompts
from .types import Sample as Sample
from .types import UserError as UserError

__version__: str
