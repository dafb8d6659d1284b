"""Pages to look at: facts, curves, pictures and tables in one HTML file that fetches nothing."""

from abprop.report.curves import Curve
from abprop.report.page import Figure, Page, Table, render, write
from abprop.report.words import number, text

__all__ = ["Page", "Figure", "Table", "Curve", "render", "write", "text", "number"]
