"""The report: one HTML file that opens offline, on a phone and in print, light and dark."""

from serving.report.material import Material, Options
from serving.report.page import render

__all__ = ["Material", "Options", "render"]
