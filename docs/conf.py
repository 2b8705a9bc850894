"""Settings of the documentation: `make docs` builds it into build/docs, offline."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent)]

project = "medsam_exp"
author = "the authors of medsam_exp"
html_title = "medsam_exp"
extensions = [
    "myst_parser",
    "mathml",
    "config_reference",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "api_reference",
    "page_texts",
]
myst_enable_extensions = ["deflist", "dollarmath", "attrs_inline", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
highlight_language = "text"
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r".*")]  # types in signatures: most are of other packages
suppress_warnings = ["ref.python"]  # fields named as a type, such as bytes
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "footer_icons": [],
    "light_css_variables": {"color-brand-primary": "#0b6e8f", "color-brand-content": "#0b6e8f"},
    "dark_css_variables": {"color-brand-primary": "#6cc4e0", "color-brand-content": "#6cc4e0"},
}
