"""LightningModules and their data: everything that runs a network under a Trainer."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.training.clip_data import PairsDataModule as PairsDataModule
    from medsam_exp.training.clip_finetune import ClipFinetuneModule as ClipFinetuneModule
    from medsam_exp.training.embeddings import (
        TextEmbeddings as TextEmbeddings,
        embed_images as embed_images,
    )
    from medsam_exp.training.nnunet_training import NnunetModule as NnunetModule
    from medsam_exp.training.pruner.median import Median as Median
    from medsam_exp.training.pruner.none import NoPruner as NoPruner
    from medsam_exp.training.pruner.rungs import Pruner as Pruner
    from medsam_exp.training.pruner.wilcoxon import Wilcoxon as Wilcoxon
    from medsam_exp.training.saliency import SaliencyModule as SaliencyModule
    from medsam_exp.training.sam_inference import (
        SamModule as SamModule,
        answer_prompts as answer_prompts,
    )
    from medsam_exp.training.sam_training import SamTrainingModule as SamTrainingModule
    from medsam_exp.training.search.study import Search as Search
    from medsam_exp.training.text_saliency import TextSaliencyModule as TextSaliencyModule
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "clip_data": ("PairsDataModule",),
            "clip_finetune": ("ClipFinetuneModule",),
            "embeddings": (
                "TextEmbeddings",
                "embed_images",
            ),
            "nnunet_training": ("NnunetModule",),
            "pruner.median": ("Median",),
            "pruner.none": ("NoPruner",),
            "pruner.rungs": ("Pruner",),
            "pruner.wilcoxon": ("Wilcoxon",),
            "saliency": ("SaliencyModule",),
            "sam_inference": (
                "SamModule",
                "answer_prompts",
            ),
            "sam_training": ("SamTrainingModule",),
            "search.study": ("Search",),
            "text_saliency": ("TextSaliencyModule",),
        },
    )
