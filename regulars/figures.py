"""Pictures as PNG files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    from features.label_report import LabelReport
    from training.backtest import Backtest

__all__ = ["write_figures", "write_label_figure"]


def write_figures(result: Backtest, folder: Path) -> list[Path]:
    """Write the pictures of a backtest to a folder as PNG files; it is made if need be."""
    from serving.batch import writing
    from training.clv_backtest import backtest_figures

    _make_folder(folder)
    written = []
    for name, figure in backtest_figures(result.clv).items():
        path = folder / f"{name}.png"
        with writing(path) as file:
            figure.savefig(file, format="png")
        written.append(path)
    return written


def write_label_figure(report: LabelReport, folder: Path) -> Path:
    """Write the picture of a label report to a folder as a PNG file; it is made if need be."""
    from serving.batch import writing
    from training.figures.label import label

    _make_folder(folder)
    path = folder / "label.png"
    with writing(path) as file:
        label(report).savefig(file, format="png")
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"{folder} cannot be made: {problem.strerror}.", "Choose a folder you can write to."
        ) from None
