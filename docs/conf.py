"""How Sphinx makes HTML of these pages: `make docs`, then open build/docs/index.html."""

from picodigits import __version__

project = "picodigits"
release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "picodigits"
myst_heading_anchors = 3
exclude_patterns = ["conf.py", "pictures.py"]
suppress_warnings = ["myst.header"]
