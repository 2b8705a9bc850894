"""Image files, masks and datasets."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.data.csv_pairs import CsvPairs as CsvPairs
    from medsam_exp.data.folder import FolderDataset as FolderDataset
    from medsam_exp.data.image import ImageDataset as ImageDataset
    from medsam_exp.data.images import read_image as read_image
    from medsam_exp.data.masks import read_mask as read_mask
    from medsam_exp.data.near_duplicates import find_near_duplicates as find_near_duplicates
    from medsam_exp.data.phantom.class_dataset import PhantomClassDataset as PhantomClassDataset
    from medsam_exp.data.phantom.dataset import PhantomDataset as PhantomDataset
    from medsam_exp.data.phantom.pairs import PhantomPairs as PhantomPairs
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "csv_pairs": ("CsvPairs",),
            "folder": ("FolderDataset",),
            "image": ("ImageDataset",),
            "images": ("read_image",),
            "masks": ("read_mask",),
            "near_duplicates": ("find_near_duplicates",),
            "phantom.class_dataset": ("PhantomClassDataset",),
            "phantom.dataset": ("PhantomDataset",),
            "phantom.pairs": ("PhantomPairs",),
        },
    )
