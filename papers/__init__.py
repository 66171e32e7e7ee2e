"""One subpackage a paper; `python -m papers` is the one command line."""
