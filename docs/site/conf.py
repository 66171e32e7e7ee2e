"""Settings of Sphinx for the site; `python -m papers site` copies them beside the pages that it writes."""

import os

from docutils import nodes
from latex2mathml.converter import convert

project = "Flow policies, reproduced"
author = "the authors of this repository"
extensions = ["myst_nb"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# Links to sources and documents are written from the site's root.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
exclude_patterns = ["gallery/*.md"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["claims.js"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
nb_execution_mode = "cache" if os.environ.get("SITE_RUNS_NOTEBOOKS") else "off"
nb_execution_cache_path = os.path.join(os.path.dirname(__file__), "..", "cache")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # what makes sliders live would be fetched from the net; they stand as they were drawn


def inline(writer, node):
    """A formula as MathML, which browsers draw by themselves: MathJax would need a net."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display(writer, node):
    writer.body.append(f'<div class="wide">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
