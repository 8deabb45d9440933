"""What a study leaves behind: fitted slopes, figures, and files that are whole or absent."""

from ntkrnn.report.figures import Curve, KernelRow, error_against_width, kernel_images
from ntkrnn.report.files import run_record, write_figure
from ntkrnn.report.plots import Line, Plot, guide, plots
from ntkrnn.report.runs import Panel, along_training, run_panels
from ntkrnn.report.statistics import Slope, finite_slope, loglog_slope, mean_and_std

__all__ = [
    "Curve",
    "KernelRow",
    "Line",
    "Panel",
    "Plot",
    "Slope",
    "along_training",
    "error_against_width",
    "finite_slope",
    "guide",
    "kernel_images",
    "loglog_slope",
    "mean_and_std",
    "plots",
    "run_panels",
    "run_record",
    "write_figure",
]
