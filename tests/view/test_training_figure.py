"""The figure of a training run: what is drawn is what the summary says, gaps included, and the file is the same everywhere."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from influence.errors import RunError
from influence.view.figures import draw, write_training_figure

UNKNOWN = {"value": None, "low": None, "high": None, "n": 0, "clusters": 0}
TITLES = {
    "reward": "Held-out reward",
    "influence": "Held-out influence",
    "vetoed": "Over the veto's threshold",
    "length": "Reply length",
    "kl_to_base": "Distance from the base model",
    "distinct_2": "Diversity of replies",
}


def estimate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high, "n": 24, "clusters": 6}


def around(value, half):
    return estimate(value, value - half, value + half)


def measured(number, rise=0.1, kinds=("vulnerable", "resilient"), **changed):
    """One iteration whose numbers are all different."""
    heldout = {
        "conversations": 24,
        "reward": around(5 + rise * number, 0.2),
        "influence": around(0.2 + rise * number / 3, 0.05),
        "vetoed": around(0.3 + rise * number / 2, 0.1),
        "length": around(400 - 7 * number, 30),
        "distinct_2": around(0.8 - 0.03 * number, 0.02),
        "kl_to_base": around(0.02 * number, 0.01) if number else None,
        "by_kind": {
            kind: {
                "reward": around(5.5 + place + rise * number, 0.3),
                "influence": around(0.4 - place / 10 + rise * number, 0.07),
            }
            for place, kind in enumerate(kinds)
        },
    }
    return {"iteration": number, "heldout": heldout | changed}


def arm(*iterations, name="", seed=0, control=False):
    return {"name": name, "seed": seed, "control": control, "iterations": list(iterations)}


def summary(*arms, run="runs/train-kto-1", sentences=("Held-out reward rose: +0.300 [+0.100, +0.500].",), over_seeds=()):
    return {"run": run, "arms": list(arms), "sentences": list(sentences), "over_seeds": list(over_seeds)}


def one_arm(**options):
    return summary(arm(*[measured(number) for number in range(4)]), **options)


def three_seeds_with_controls(iterations=4, seeds=3, **options):
    arms = []
    for seed in range(seeds):
        for control in (False, True):
            rise = 0.02 * seed + (0 if control else 0.1)
            name = f"seed-{seed}" + ("-control" if control else "")
            arms.append(arm(*[measured(n, rise) for n in range(iterations)], name=name, seed=seed, control=control))
    return summary(*arms, **options)


def panel(figure, key):
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == TITLES[key])


def lines(figure, key):
    """The data lines of a panel by label; the line at zero is none of them."""
    return {line.get_label(): line for line in panel(figure, key).lines if not line.get_label().startswith("_child")}


def values(line):
    """(iteration, value) as drawn, None for a gap. Sideways, a point may be moved by less than half an iteration."""
    return [(round(x), None if math.isnan(y) else y) for x, y in zip(*line.get_data(), strict=True)]


def bars(figure, key, line):
    """{iteration: (low, high)} of the bars in the colour of a line."""
    found = {}
    for collection in panel(figure, key).collections:
        if isinstance(collection, LineCollection) and to_hex(collection.get_color()[0]) == to_hex(line.get_color()):
            for segment in filter(len, collection.get_segments()):  # an unknown end makes an empty one
                (x, low), (_, high) = segment
                found[round(x)] = (low, high)
    return found


def expected(iterations, key, kind=None):
    parts = [(one["iteration"], one["heldout"] if kind is None else one["heldout"]["by_kind"][kind]) for one in iterations]
    return [(number, None if part[key] is None else part[key]["value"]) for number, part in parts]


def intervals(iterations, key, kind=None):
    parts = [(one["iteration"], one["heldout"] if kind is None else one["heldout"]["by_kind"][kind]) for one in iterations]
    return {n: (p[key]["low"], p[key]["high"]) for n, p in parts if p[key] is not None and p[key]["low"] is not None}


def texts(figure):
    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


def chunks(png):
    """The parts of a PNG file, (type, data), every checksum checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = [], 8
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        assert struct.unpack(">I", png[place + 8 + size : place + 12 + size]) == (zlib.crc32(kind + data),)
        found.append((kind, data))
        place += 12 + size
    return found


def test_the_file_is_a_png_of_a_slides_size_that_says_no_date(tmp_path):
    path = write_training_figure(one_arm(), tmp_path)
    assert path == tmp_path / "training.png"
    assert [found.name for found in tmp_path.iterdir()] == ["training.png"]
    found = chunks(path.read_bytes())
    assert struct.unpack(">II", found[0][1][:8]) == (1650, 975)
    assert {kind for kind, _ in found} <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert len(path.read_bytes()) > 20_000


@pytest.mark.parametrize("key", TITLES)
def test_every_panel_shows_the_values_and_intervals_of_the_summary(key):
    given_summary = one_arm()
    iterations = given_summary["arms"][0]["iterations"]
    figure = draw(given_summary)
    shown = lines(figure, key)
    by_kind = ["resilient", "vulnerable"] if key in ("reward", "influence") else []
    assert list(shown) == ["all users", *by_kind]
    for label, kind in zip(shown, [None, *by_kind], strict=True):
        assert values(shown[label]) == expected(iterations, key, kind)
        assert bars(figure, key, shown[label]) == intervals(iterations, key, kind)
    assert list(shown["all users"].get_xdata()) == [0, 1, 2, 3]  # what it is about stands where it belongs


def test_the_kinds_of_users_are_thinner_than_the_whole_and_each_has_its_colour():
    shown = lines(draw(one_arm()), "reward")
    widths = {label: line.get_linewidth() for label, line in shown.items()}
    assert widths["resilient"] == widths["vulnerable"] < widths["all users"]
    assert len({to_hex(line.get_color()) for line in shown.values()}) == 3


def test_a_single_kind_of_user_is_all_users():
    figure = draw(summary(arm(*[measured(number, kinds=("everybody",)) for number in range(3)])))
    assert list(lines(figure, "reward")) == ["all users"]
    assert figure.legends == []


numbers = st.floats(min_value=0.01, max_value=0.99)
# an interval need not hold its value: a bootstrap's of a skewed distribution may leave it out
estimates = st.none() | st.just(UNKNOWN) | st.builds(estimate, numbers) | st.builds(estimate, numbers, numbers, numbers)
known_or_not = st.just(UNKNOWN) | st.builds(estimate, numbers) | st.builds(estimate, numbers, numbers, numbers)


@settings(max_examples=12)
@given(st.lists(st.tuples(known_or_not, estimates, known_or_not), min_size=1, max_size=6))
def test_what_is_missing_is_a_gap_and_nothing_else_is(rows):
    iterations = []
    for number, (reward, distance, of_kind) in enumerate(rows):
        one = measured(number, reward=reward, kl_to_base=distance)
        one["heldout"]["by_kind"]["resilient"]["reward"] = of_kind
        iterations.append(one)
    figure = draw(summary(arm(*iterations)))
    for key, label, kind in (
        ("reward", "all users", None),
        ("reward", "resilient", "resilient"),
        ("kl_to_base", "all users", None),
    ):
        line = lines(figure, key)[label]
        assert values(line) == expected(iterations, key, kind)
        assert bars(figure, key, line) == intervals(iterations, key, kind)


def test_a_kind_of_user_that_was_not_met_in_one_iteration_is_missing_there():
    iterations = [measured(0), measured(1, kinds=("vulnerable",)), measured(2)]
    shown = lines(draw(summary(arm(*iterations))), "influence")["resilient"]
    assert [value is None for _, value in values(shown)] == [False, True, False]


def test_the_untrained_agent_is_the_line_at_zero_of_the_distance():
    figure = draw(one_arm())
    level = [line for line in panel(figure, "kl_to_base").lines if line.get_label().startswith("_child")]
    assert [set(line.get_ydata()) for line in level] == [{0.0}]
    assert "untrained" in texts(figure)
    assert panel(figure, "kl_to_base").get_ylim()[0] < 0


def test_a_distance_that_nobody_measured_is_said_to_be_so_and_no_zero():
    figure = draw(summary(arm(*[measured(number, kl_to_base=None) for number in range(3)])))
    ax = panel(figure, "kl_to_base")
    assert [found.get_text() for found in ax.texts] == ["not measured"]
    assert list(ax.get_yticks()) == []
    assert texts(figure).count("not measured") == 1
    assert "untrained" not in texts(figure)


@pytest.mark.parametrize("iterations", [[0], [0, 1], [0, 2, 4, 5], list(range(31))])
def test_ticks_are_whole_iterations_within_the_panel(iterations):
    figure = draw(summary(arm(*[measured(number) for number in iterations])))
    for ax in figure.axes:
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) and iterations[0] <= tick <= iterations[-1] for tick in ticks)
    assert values(lines(figure, "reward")["all users"]) == expected([measured(n) for n in iterations], "reward")


def test_one_iteration_makes_a_figure(tmp_path):
    assert write_training_figure(summary(arm(measured(0))), tmp_path).is_file()


def test_many_iterations_have_bands_for_bars_and_points_in_their_place():
    iterations = [measured(number) for number in range(21)]
    ax = panel(draw(summary(arm(*iterations))), "reward")
    assert not any(isinstance(found, LineCollection) for found in ax.collections)
    bands = [found for found in ax.collections if isinstance(found, PolyCollection)]
    assert len(bands) == 3
    corners = {tuple(corner) for path in bands[0].get_paths() for corner in path.vertices}
    for number, ends in intervals(iterations, "reward").items():
        assert {(number, end) for end in ends} <= corners
    assert {x for line in ax.lines for x in line.get_xdata()} == set(range(21))


def test_several_arms_have_a_colour_a_seed_and_their_controls_are_dashed_and_greyer():
    given_summary = three_seeds_with_controls()
    figure = draw(given_summary)
    for key in TITLES:
        shown = lines(figure, key)
        assert list(shown) == [f"seed {seed}{lot}" for seed in range(3) for lot in ("", ", by lot")]
        for line, one in zip(shown.values(), given_summary["arms"], strict=True):
            assert values(line) == expected(one["iterations"], key)
            assert line.is_dashed() is one["control"]
    assert len({to_hex(shown[f"seed {seed}"].get_color()) for seed in range(3)}) == 3
    for seed in range(3):
        own, control = shown[f"seed {seed}"], shown[f"seed {seed}, by lot"]
        assert own.get_marker() == control.get_marker()
        greyness = [max(to_rgb(line.get_color())) - min(to_rgb(line.get_color())) for line in (own, control)]
        assert greyness[1] < 0.5 * greyness[0]


def test_a_legend_names_each_arm_once():
    figure = draw(three_seeds_with_controls(seeds=4))
    assert not any(ax.get_legend() for ax in figure.axes)
    (legend,) = figure.legends
    assert sorted(found.get_text() for found in legend.get_texts()) == sorted(lines(figure, "reward"))


def test_the_heading_is_the_runs_name_and_what_one_arm_came_to():
    said = texts(draw(one_arm(run="somewhere/else/my run")))
    assert "my run" in said
    assert "Held-out reward rose: +0.300 [+0.100, +0.500]." in said


def test_the_heading_of_several_arms_is_the_mean_over_seeds_and_not_their_sentences():
    change = {"reward": around(0.5, 0.25) | {"n": 3}, "influence": UNKNOWN}
    control = {"reward": estimate(-0.125) | {"n": 1}, "influence": around(0.0, 0.5) | {"n": 3}}
    groups = [{"control": False, "change": change}, {"control": True, "change": control}]
    said = "\n".join(texts(draw(three_seeds_with_controls(over_seeds=groups))))
    over = "Mean held-out change over 3 seeds (t interval), selected by"
    assert f"{over} reward: reward +0.500 [+0.250, +0.750]; influence unknown." in said
    assert f"{over} lot: reward -0.125 (known for 1); influence +0.000 [-0.500, +0.500]." in said
    assert "rose" not in said


def test_an_arm_alone_that_selects_by_lot_says_so():
    figure = draw(summary(arm(measured(0), measured(1), control=True)))
    assert "all users, selected by lot" in lines(figure, "reward")


def test_the_note_counts_conversations_and_initial_states():
    assert any("24 conversations from 6 initial states an iteration." in text for text in texts(draw(one_arm())))
    fewer = summary(arm(measured(0), measured(1, conversations=20)))
    assert any("20 to 24 conversations" in text for text in texts(draw(fewer)))


@pytest.mark.parametrize("name", ["$x^2$", "costs $5", r"$\nothing{$", "_x", "Größe ½", "用户", "a\u0301", "😀"])
def test_names_are_shown_as_they_are(name, tmp_path):
    given_summary = summary(
        arm(*[measured(n, kinds=(name, "b")) for n in range(2)]), run=f"runs/{name}", sentences=[f"{name}: rose."]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_training_figure(given_summary, tmp_path)
        figure = draw(given_summary)
    assert path.is_file()
    assert {name, f"{name}: rose."} <= set(texts(figure))
    assert name in [found.get_text() for found in figure.legends[0].get_texts()]
    assert not any(found.get_parse_math() for found in figure.findobj(Text) if name in found.get_text())


@pytest.mark.parametrize(
    "given_summary",
    [
        one_arm(run="runs/" + "long name " * 20, sentences=["A sentence that goes on. " * 20]),
        three_seeds_with_controls(seeds=10),
    ],
    ids=["long texts", "twenty arms"],
)
def test_texts_stay_in_the_figure_and_off_the_panels(given_summary):
    figure = draw(given_summary)
    figure.draw_without_rendering()
    inside = figure.bbox
    around_panels = [*figure.texts, *figure.legends]
    for found in around_panels:
        box = found.get_window_extent()
        assert box.x0 >= inside.x0
        assert box.x1 <= inside.x1
        assert box.y0 >= inside.y0
        assert box.y1 <= inside.y1
        assert not any(box.overlaps(ax.get_tightbbox()) for ax in figure.axes)
        assert not any(box.overlaps(other.get_window_extent()) for other in around_panels if other is not found)
    assert all(ax.bbox.height > 0.15 * inside.height for ax in figure.axes)


def test_equal_summaries_give_equal_files_whatever_a_person_has_set(tmp_path):
    (tmp_path / "again").mkdir()
    first = write_training_figure(three_seeds_with_controls(), tmp_path).read_bytes()
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 20, "savefig.bbox": "tight", "lines.marker": "x"}):
        before = dict(matplotlib.rcParams)
        second = write_training_figure(three_seeds_with_controls(), tmp_path / "again").read_bytes()
        assert dict(matplotlib.rcParams) == before
    assert first == second
    assert first != write_training_figure(three_seeds_with_controls(seeds=2), tmp_path).read_bytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(RunError, match=r"gone/training\.png: cannot be written: No such file"):
        write_training_figure(one_arm(), tmp_path / "gone")


def test_a_figure_that_cannot_be_replaced_is_named_and_stays(tmp_path):
    (tmp_path / "training.png").mkdir()
    (tmp_path / "training.png" / "kept").touch()
    with pytest.raises(RunError, match=r"training\.png: cannot be written"):
        write_training_figure(one_arm(), tmp_path)
    assert (tmp_path / "training.png" / "kept").exists()


def test_without_a_home_it_is_silent_and_without_pyplot(tmp_path):
    nowhere = tmp_path / "a file"
    nowhere.touch()
    (tmp_path / "temporary").mkdir()
    code = (
        "import sys, json; from pathlib import Path; from influence.view.figures import write_training_figure\n"
        "assert 'matplotlib' not in sys.modules\n"
        "write_training_figure(json.loads(sys.stdin.read()), Path(sys.argv[1]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MPL", "XDG_", "DISPLAY"))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        input=json.dumps(one_arm()),
        env=kept | {"HOME": str(nowhere), "TMPDIR": str(tmp_path / "temporary")},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "training.png").is_file()
    assert list((tmp_path / "temporary").iterdir()) == []
