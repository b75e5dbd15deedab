"""The figure at the end of a training run: what was measured on held-out states, by iteration, with 95 % intervals.

What is missing is a gap, never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from influence.view.style import COLOURS, GREY, INK, MARKERS, own_settings, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE = "training.png"
WIDTH, HEIGHT = 11.0, 6.5
TITLE_INCHES, LINE_INCHES = 0.34, 0.19
TITLE_CHARACTERS, TEXT_CHARACTERS = 75, 140  # that fit in a line
LEGEND_COLUMNS = 6
MOST_BARS = 10  # with more measurements than these, bars stand too close to be told apart: bands take their place


@dataclass(frozen=True)
class Panel:
    """One of the six small plots: a key of `heldout`, and what it is called."""

    key: str
    title: str
    unit: str
    by_kind: bool = False
    from_zero: bool = False  # a line at zero, where the untrained agent is by definition


PANELS = (
    Panel("reward", "Held-out reward", "mean reward", by_kind=True),
    Panel("influence", "Held-out influence", "mean influence (0 to 1)", by_kind=True),
    Panel("vetoed", "Over the veto's threshold", "share of conversations"),
    Panel("length", "Reply length", "characters"),
    Panel("kl_to_base", "Distance from the base model", "nats a token", from_zero=True),
    Panel("distinct_2", "Diversity of replies", "distinct-2"),
)


@dataclass(frozen=True)
class Series:
    """One line in a panel, and how it looks everywhere. `kind` is None for all users together."""

    label: str
    arm: Mapping[str, Any]
    kind: str | None
    colour: str
    marker: str
    width: float
    dashed: bool = False

    def estimates(self, key: str) -> list[tuple[int, Mapping[str, Any] | None]]:
        """(iteration, estimate) of every measurement; None where nothing is known."""
        return [(one["iteration"], _known(one["heldout"], self.kind, key)) for one in self.arm["iterations"]]


def write_training_figure(summary: Mapping[str, Any], folder: Path) -> Path:
    """Draw `summary` (as in `summary.json`) into `folder`, in one step. Raises RunError if that cannot be written."""
    return write_figure(lambda: draw(summary), folder / FIGURE)


def draw(summary: Mapping[str, Any]) -> Figure:
    """The figure, before it becomes a file."""
    with own_settings():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, HEIGHT))
        FigureCanvasAgg(figure)
        series = series_of(summary["arms"])
        axes = figure.subplots(2, 3)
        for panel, ax in zip(PANELS, axes.flat, strict=True):
            _draw_panel(ax, panel, series)
        for ax in axes[1]:
            ax.set_xlabel("iteration")
        top = _heading(figure, Path(summary["run"]).name, headline(summary))
        bottom = _legend_and_note(figure, series, note(summary["arms"]))
        figure.set_layout_engine("constrained", rect=(0.008, bottom, 0.984, top - bottom), w_pad=0.08, h_pad=0.06)
        return figure


def series_of(arms: Sequence[Mapping[str, Any]]) -> list[Series]:
    """The lines. One arm: all users, and each kind of user if there are several. More arms: each as a whole.

    A seed and its control share marker and, dulled, colour.
    """
    if len(arms) == 1:
        arm = arms[0]
        kinds = sorted({kind for one in arm["iterations"] for kind in one["heldout"]["by_kind"]})
        whole = Series("all users" + (", selected by lot" if arm["control"] else ""), arm, None, INK, "o", 2.0)
        if len(kinds) < 2:
            return [whole]
        return [whole] + [Series(kind, arm, kind, *_look(n, start=1), 1.1) for n, kind in enumerate(kinds)]
    seeds = list(dict.fromkeys(arm["seed"] for arm in arms))
    found = []
    for arm in arms:
        colour, marker = _look(seeds.index(arm["seed"]))
        if arm["control"]:
            found.append(Series(f"seed {arm['seed']}, by lot", arm, None, _dulled(colour), marker, 1.2, dashed=True))
        else:
            found.append(Series(f"seed {arm['seed']}", arm, None, colour, marker, 1.6))
    return found


def headline(summary: Mapping[str, Any]) -> list[str]:
    """What it came to: of one arm its sentence, of several the mean change over seeds where there is one."""
    if len(summary["arms"]) == 1:
        return list(summary["sentences"])
    found = []
    for group in summary["over_seeds"]:
        seeds = sum(arm["control"] is group["control"] for arm in summary["arms"])
        how = "lot" if group["control"] else "reward"
        changes = [f"{name} {_change(group['change'][name], seeds)}" for name in ("reward", "influence")]
        found.append(f"Mean held-out change over {seeds} seeds (t interval), selected by {how}: {'; '.join(changes)}.")
    return found


def note(arms: Sequence[Mapping[str, Any]]) -> str:
    """What points and bars are, and how many conversations they stand on."""
    sizes = [one["heldout"]["conversations"] for arm in arms for one in arm["iterations"]]
    states = max(one["heldout"]["reward"]["clusters"] for arm in arms for one in arm["iterations"])
    count = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    each = " each" if len(arms) > 1 else ""
    return (
        f"Held-out states only: {count} conversations from {states} initial states an iteration{each}. 95 % intervals: "
        "cluster bootstrap over initial states; for shares, Wilson.\n"
        "The distance is read from the first replies of some of these conversations. Without a veto, its threshold is 0.5."
    )


def _draw_panel(ax: Axes, panel: Panel, series: Sequence[Series]) -> None:
    from matplotlib.ticker import MaxNLocator

    shown = [one for one in series if panel.by_kind or one.kind is None]
    measured = sorted({number for one in series for number, _ in one.estimates(panel.key)})
    step = min((after - before for before, after in pairwise(measured)), default=1)
    bands = len(measured) > MOST_BARS
    known = [
        _draw_series(ax, one, panel.key, 0.0 if bands else step * _offset(place, len(shown)), bands, len(shown) - place)
        for place, one in enumerate(shown)
    ]
    if any(known) and panel.from_zero:
        ax.axhline(0.0, color=GREY, linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=1)
        ax.annotate(
            "untrained", (0.99, 0.0), (0, 3), ("axes fraction", "data"), "offset points", ha="right", fontsize=8, color=GREY
        )
    if not any(known):
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=GREY)
        ax.set_yticks([])
    ax.set_title(panel.title)
    ax.set_ylabel(panel.unit)
    ax.set_xlim(measured[0] - 0.35 * step, measured[-1] + 0.35 * step)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    ax.ticklabel_format(axis="y", useOffset=False, style="plain")
    ax.tick_params(length=0)
    ax.grid(visible=False, axis="x")


def _draw_series(ax: Axes, series: Series, key: str, offset: float, bands: bool, level: int) -> bool:
    """Points, line and intervals of one series, above those of a lower level. Returns whether anything is known of it."""
    points = series.estimates(key)
    x = [number + offset for number, _ in points]
    value, low, high = ([nan if e is None or e[end] is None else e[end] for _, e in points] for end in ("value", "low", "high"))
    if bands:
        ax.fill_between(x, low, high, color=series.colour, alpha=0.15, linewidth=0.6, zorder=2 + level)
    else:
        ax.vlines(x, low, high, color=series.colour, linewidth=series.width, alpha=0.55, zorder=2 + level)
    ax.plot(x, value, **_line(series, small=bands), label=series.label, zorder=2 + level)
    return not all(map(isnan, value))


def _line(series: Series, small: bool = False) -> dict[str, Any]:
    """How a series looks, in a panel and in the legend."""
    return {
        "color": series.colour,
        "linewidth": series.width * (0.7 if small else 1.0),
        "linestyle": (0, (4, 2)) if series.dashed else "-",
        "marker": series.marker,
        "markersize": (2.0 if small else 3.4) + series.width,
        "markerfacecolor": "white" if series.dashed else series.colour,
        "markeredgewidth": 1.0,
    }


def _heading(figure: Figure, name: str, lines: Sequence[str]) -> float:
    """Write name and headline at the top. Returns where the panels may begin, as a share of the height."""
    title = "\n".join(wrap(name, TITLE_CHARACTERS))
    text = [part for line in lines for part in wrap(line, TEXT_CHARACTERS, break_on_hyphens=False)]
    height = HEIGHT - 0.12
    figure.text(0.012, height / HEIGHT, title, fontsize=14, fontweight="bold", va="top")
    height -= TITLE_INCHES * max(1, title.count("\n") + 1)
    figure.text(0.012, (height + 0.05) / HEIGHT, "\n".join(text), fontsize=9.5, va="top", linespacing=1.35)
    return (height - LINE_INCHES * len(text)) / HEIGHT


def _legend_and_note(figure: Figure, series: Sequence[Series], text: str) -> float:
    """Write them at the bottom, the legend only where there is something to tell apart. Returns where the panels may end."""
    from matplotlib.lines import Line2D

    figure.text(0.012, 0.08 / HEIGHT, text, fontsize=8, color="#555555", va="bottom")
    height = 0.08 + LINE_INCHES * (text.count("\n") + 1)
    if len(series) > 1:
        rows = -(-len(series) // LEGEND_COLUMNS)
        figure.legend(
            handles=[Line2D([], [], label=one.label, **_line(one)) for one in series],
            loc="lower center",
            bbox_to_anchor=(0.5, height / HEIGHT),
            ncols=-(-len(series) // rows),
            frameon=False,
            handlelength=2.6,
            borderaxespad=0.3,
        )
        height += 0.1 + LINE_INCHES * rows
    return height / HEIGHT


def _known(heldout: Mapping[str, Any], kind: str | None, key: str) -> Mapping[str, Any] | None:
    part = heldout if kind is None else heldout["by_kind"].get(kind, {})
    estimate: Mapping[str, Any] | None = part.get(key)
    return estimate


def _change(change: Mapping[str, Any], seeds: int) -> str:
    """ "+0.210 [+0.150, +0.270]", with the number of seeds that know it where that is not all."""
    if change["value"] is None:
        return "unknown"
    interval = "" if change["low"] is None else f" [{change['low']:+.3f}, {change['high']:+.3f}]"
    some = "" if change["n"] == seeds else f" (known for {change['n']})"
    return f"{change['value']:+.3f}{interval}{some}"


def _look(number: int, start: int = 0) -> tuple[str, str]:
    """Colour and marker of the n-th of several: both change, so that the pair lasts longer than the colours."""
    return COLOURS[number % len(COLOURS)], MARKERS[(number + start) % len(MARKERS)]


def _dulled(colour: str) -> str:
    """The colour, most of it washed out to grey."""
    pairs = zip((colour[1:3], colour[3:5], colour[5:7]), (GREY[1:3], GREY[3:5], GREY[5:7]), strict=True)
    return "#" + "".join(f"{round(0.3 * int(own, 16) + 0.7 * int(grey, 16)):02x}" for own, grey in pairs)


def _offset(place: int, of: int) -> float:
    """How far a series is moved sideways, in steps between iterations, so that its bars do not hide others': 0, 1, -1, 2, …"""
    return (place + 1) // 2 * (1 if place % 2 else -1) * min(0.07, 0.35 / of)
