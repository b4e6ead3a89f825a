"""The demo: the whole pipeline on real data, checked row by row against what went in."""
