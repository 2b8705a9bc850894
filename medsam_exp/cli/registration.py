"""What Hydra must know before it composes a configuration: the schema, and the resolvers that `conf/` uses."""

from omegaconf import OmegaConf

from medsam_exp.cli.weights.local_cache import fetched
from medsam_exp.config.schema import register_schema
from medsam_exp.sweep.identity import folder_of_overrides


def register() -> None:
    """Register the schema as `schema` and the resolvers `sweep_job_folder` and `fetched`; may be called again."""
    register_schema()
    OmegaConf.register_new_resolver("sweep_job_folder", folder_of_overrides, replace=True)
    OmegaConf.register_new_resolver("fetched", fetched, replace=True)
