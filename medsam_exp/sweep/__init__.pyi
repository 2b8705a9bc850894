from .collect import Collected as Collected
from .pivot import Pivot as Pivot
from .read import SweepResults as SweepResults
from .read import read_sweep as read_sweep
from .tidy import images_table as images_table
from .tidy import jobs_table as jobs_table
