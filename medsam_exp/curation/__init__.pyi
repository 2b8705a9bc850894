from .quality.data_check import check_dataset as check_dataset
from .quality.finding import Finding as Finding
from .quality.finding import Kind as Kind
