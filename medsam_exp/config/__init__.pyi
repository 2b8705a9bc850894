from .schema import check as check
from .schema import config_type as config_type
from .schema import register_schema as register_schema
from .signatures import signature_problems as signature_problems
