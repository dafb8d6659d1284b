"""The site: Markdown pages, and a reference read from the code itself. `make docs` builds it."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent / "src")]

import abprop  # noqa: E402

project = "abprop"
author = "the abprop authors"
copyright = f"{author}. MIT licence"
release = version = abprop.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "plain", "tables"]
exclude_patterns = ["_build"]
smartquotes = False  # options begin with two hyphens
highlight_language = "text"

myst_heading_anchors = 3

# A link that leads nowhere is an error, but for types of libraries, whose pages are elsewhere.
nitpicky = True
strangers = r"(torch|numpy|collections|pathlib|typing)\..*|Tensor|abprop(\.\w+){3,4}"
nitpick_ignore_regex = [(r"py:.*", strangers)]
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "abprop"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7fb8dd", "color-brand-content": "#7fb8dd"},
}
