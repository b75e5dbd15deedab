"""What all figures share: colours, settings, and how one becomes a file.

Drawn by matplotlib's objects alone, without a display, and under settings of our own: neither a person's matplotlibrc nor
the day shows in the file, so equal summaries give equal bytes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from influence.errors import RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150

# Okabe and Ito's colours for all kinds of colour vision, less the yellow that is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, GREY = "#222222", "#8c8c8c"

STYLE = {
    "font.size": 9.0,
    "text.parse_math": False,  # names come from people, and `$` is a sign like others
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "grid.color": "#e6e6e6",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


@contextmanager
def own_settings() -> Iterator[None]:
    """matplotlib with its defaults and our style, and silent: what it would say is of its cache folder and of fonts.

    Where its folder cannot be written, it makes a temporary one by itself.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import matplotlib

            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                matplotlib.rcParams.update(STYLE)
                yield
    finally:
        logger.setLevel(level)


def write_figure(draw: Callable[[], Figure], path: Path) -> Path:
    """Draw into a file, in one step. Raises RunError if that cannot be written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with own_settings():
            image = BytesIO()
            draw().savefig(image, format="png", dpi=DPI, metadata={"Software": None})
        partial.write_bytes(image.getvalue())
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}.") from None
    return path
