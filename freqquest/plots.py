"""Plots of spectrograms and metrics for run folders and TensorBoard.

matplotlib without a display. Every plot is returned as an RGB picture `[H, W, 3]`, uint8.
Shapes: H height, W width, M mel bands, T frames, K classes.
"""

import io
import warnings
from collections.abc import Mapping, Sequence

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_DOTS_PER_INCH = 100
_MAX_LEGEND_ENTRIES = 10
_MAX_PANELS_IN_ROW = 5

_TIME_UNITS = {"h": (3_600, 10_800), "min": (60, 600), "s": (1, 0)}
"""Seconds in each unit of a time axis, and the length from which on it is the axis' unit."""


def png(picture: np.ndarray) -> bytes:
    """Encode a picture `[H, W, 3]` as a PNG file."""
    buffer = io.BytesIO()
    # A file a little larger than by default, in a third of the time.
    matplotlib.image.imsave(buffer, picture, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def webp(picture: np.ndarray) -> bytes:
    """Encode a picture `[H, W, 3]` as a WebP file, a tenth of its PNG file."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, picture, format="webp", pil_kwargs={"quality": 60})
    return buffer.getvalue()


def spectrogram_grid(
    spectrograms: Mapping[str, np.ndarray], title: str, seconds: float, max_columns: int = 3
) -> np.ndarray:
    """Draw one spectrogram `[M, T]` per name, side by side, on one color scale."""
    num_columns = min(max_columns, len(spectrograms))
    num_rows = -(-len(spectrograms) // num_columns)
    figure, panels = _panels(num_rows, num_columns)
    lowest = min(float(values.min()) for values in spectrograms.values())
    highest = max(float(values.max()) for values in spectrograms.values())
    for panel, (name, values) in zip(panels.flat, spectrograms.items(), strict=False):
        panel.imshow(
            values,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=lowest,
            vmax=max(highest, lowest + 1e-6),
            extent=(0, seconds, 0, values.shape[0]),
        )
        panel.set_title(name, fontsize=10, parse_math=False)
    for panel in panels.flat[len(spectrograms) :]:
        panel.axis("off")
    figure.suptitle(title, fontsize=11)
    return _draw(figure)


def _panels(num_rows: int, num_columns: int) -> tuple[Figure, np.ndarray]:
    """Return a figure and its panels for spectrograms, at fixed places.

    Finding places for them would take most of the time of a picture.
    """
    width, height = 4.2 * num_columns, 2.6 * num_rows + 0.4
    left, right, top, bottom, column_gap, row_gap = 0.65, 0.2, 0.55, 0.5, 0.45, 0.3  # inches
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(
        num_rows,
        num_columns,
        squeeze=False,
        sharex=True,
        sharey=True,
        gridspec_kw={
            "left": left / width,
            "right": 1 - right / width,
            "top": 1 - top / height,
            "bottom": bottom / height,
            "wspace": column_gap * num_columns / (width - left - right),
            "hspace": row_gap * num_rows / (height - top - bottom),
        },
    )
    figure.supxlabel("time (s)", fontsize=9, y=0.08 / height)
    figure.supylabel("mel band", fontsize=9, x=0.08 / width)
    return figure, panels


def spectrogram_image(values: np.ndarray) -> np.ndarray:
    """Return the colors of a spectrogram `[M, T]` without axes: `[M, T, 3]`, high bands on top."""
    lowest, highest = float(values.min()), float(values.max())
    shares = (np.flipud(values) - lowest) / max(highest - lowest, 1e-6)
    colors: np.ndarray = matplotlib.colormaps["magma"](shares, bytes=True)[..., :3]
    return colors


def spectrogram_with_events(
    values: np.ndarray,
    title: str,
    seconds: float,
    events: Mapping[str, Sequence[tuple[float, float]]],
    colors: Mapping[str, str],
) -> np.ndarray:
    """Draw a spectrogram `[M, T]` and, over it, one row of boxes per label.

    Args:
        values: The spectrogram.
        title: Title of the picture.
        seconds: Length of the recording.
        events: Starts and lengths of the boxes in seconds, by label; the first is the top row.
        colors: Colors of the boxes by label.
    """
    num_rows = max(1, len(events))
    figure = Figure(figsize=(12, max(2.6, 0.28 * num_rows) + 0.8), layout="constrained")
    panel = figure.subplots()
    unit = next(unit for unit, (_, least_s) in _TIME_UNITS.items() if seconds >= least_s)
    unit_s = _TIME_UNITS[unit][0]
    extent = (0, seconds / unit_s, 0, 1)
    panel.imshow(spectrogram_image(values), aspect="auto", extent=extent, interpolation="nearest")
    for row, (label, boxes) in enumerate(events.items()):
        bottom, height = 1 - (row + 0.9) / num_rows, 0.8 / num_rows
        for style in ({"edgecolor": "black", "linewidth": 3}, {"edgecolor": colors[label]}):
            spans = [(start_s / unit_s, length_s / unit_s) for start_s, length_s in boxes]
            panel.broken_barh(spans, (bottom, height), facecolor="none", **style)
    panel.set_xlim(extent[:2])
    middles = [1 - (row + 0.5) / num_rows for row in range(len(events))]
    panel.set_yticks(middles, list(events), parse_math=False)
    panel.set_xlabel(f"time ({unit})")
    panel.set_title(title, fontsize=10, wrap=True, parse_math=False)
    return _draw(figure)


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> np.ndarray:
    """Draw counts `[K, K]`, rows being the true classes; colors show each row's fractions."""
    size = max(4.5, 0.7 * len(classes) + 2)
    figure = Figure(figsize=(size + 0.5, size), layout="constrained")
    panel = figure.subplots()
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        color = "white" if fractions[row, column] > 0.5 else "black"
        panel.text(
            column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=9
        )
    panel.set_xticks(range(len(classes)), classes, rotation=45, ha="right", parse_math=False)
    panel.set_yticks(range(len(classes)), classes, parse_math=False)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    panel.set_title(title, fontsize=10)
    return _draw(figure)


def count_confusions(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count how often each true class (row) was predicted as each class (column): `[K, K]`."""
    table = np.zeros((num_classes, num_classes), int)
    np.add.at(table, (truth, predicted), 1)
    return table


def curves(
    series: Mapping[str, Sequence[float]],
    title: str,
    x_label: str,
    y_label: str,
    highlight: str | None = None,
    x: Sequence[float] | None = None,
) -> np.ndarray:
    """Draw one line per name over 1, 2, 3, ...; if one is highlighted, the others are pale.

    With `x`, draw them over its values, on a logarithmic axis.
    """
    figure, panel = _panel((7, 3.6), title, x_label, y_label)
    if x is not None:
        panel.set_xscale("log")
        panel.set_xticks(x, [f"{value:g}" for value in x])
        panel.minorticks_off()
    for name, values in series.items():
        panel.plot(
            x or range(1, len(values) + 1),
            values,
            label=name,
            marker="." if len(values) < 30 else None,
            alpha=0.3 if highlight not in (None, name) else 1.0,
        )
    if len(series) <= _MAX_LEGEND_ENTRIES:
        panel.legend(fontsize=8)
    return _draw(figure)


def curves_with_references(
    series: Mapping[str, tuple[Sequence[float], float]],
    title: str,
    x_label: str,
    reference_label: str,
    x: Sequence[int],
) -> np.ndarray:
    """Draw one panel per name: its values over `x`, and a dotted line at its reference value."""
    num_rows = -(-len(series) // _MAX_PANELS_IN_ROW)
    num_columns = -(-len(series) // num_rows)
    size = max(5.2, 2.6 * num_columns), 2.4 * num_rows + 0.4
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).flat
    for panel in panels[len(series) :]:
        panel.axis("off")
    for panel, (name, (values, reference)) in zip(panels, series.items(), strict=False):
        panel.plot(x, values, marker=".")
        panel.axhline(reference, color="gray", linestyle=":")
        panel.set_ylim(bottom=min(0.0, reference, *values))
        panel.set_title(name, fontsize=10)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.grid(alpha=0.3)
    figure.supxlabel(x_label, fontsize=9)
    figure.suptitle(f"{title} (dotted: {reference_label})", fontsize=11)
    return _draw(figure)


def best_so_far(minutes: Sequence[float], scores: Sequence[float], title: str) -> np.ndarray:
    """Draw each score over time as a dot, and the best score so far as steps."""
    figure, panel = _panel((7, 3.6), title, "minutes", "score")
    panel.step(minutes, np.maximum.accumulate(scores), where="post", label="best so far")
    panel.plot(minutes, scores, "o", label="trial ended")
    panel.set_xlim(left=0)
    panel.legend(fontsize=8)
    return _draw(figure)


def reliability(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> np.ndarray:
    """Draw accuracy over confidence, one line per name; both are arrays over confidence bins."""
    figure, panel = _panel((4.8, 4.6), title, "confidence", "accuracy")
    panel.plot([0, 1], [0, 1], color="gray", linestyle=":")
    for name, (confidence, accuracy) in lines.items():
        panel.plot(confidence, accuracy, marker="o", label=name)
    panel.legend(fontsize=8)
    return _draw(figure)


def precision_over_coverage(
    coverage: Sequence[float], precision: Sequence[float], title: str
) -> np.ndarray:
    """Draw the precision of a classifier's surest answers over the share of clips that get one."""
    x_label, y_label = "share of clips with an answer", "precision of the answers"
    figure, panel = _panel((4.8, 4.6), title, x_label, y_label)
    panel.plot(coverage, precision, marker="." if len(coverage) < 30 else None)
    panel.set_xlim(0, 1.02)
    panel.set_ylim(top=1.02)
    return _draw(figure)


def bars(values: Mapping[str, float], title: str) -> np.ndarray:
    """Draw one horizontal bar per name."""
    figure, panel = _panel((7, 0.3 * len(values) + 1.2), title, "", "")
    panel.barh(range(len(values)), list(values.values()))
    panel.set_yticks(range(len(values)), list(values), parse_math=False)
    panel.invert_yaxis()
    return _draw(figure)


def bars_and_dots(
    names: Sequence[str],
    bars: tuple[str, Sequence[float]],
    dots: Mapping[str, Sequence[float]],
    title: str,
) -> np.ndarray:
    """Draw one horizontal bar per name, and dots at other values of it, all from 0 to 1.

    Args:
        names: Labels of the bars.
        bars: Name of the bars' quantity, and its values.
        dots: Values of the other quantities by their names.
        title: Title of the picture.
    """
    figure, panel = _panel((7, 0.3 * len(names) + 1.8), title, "", "")
    panel.barh(range(len(names)), bars[1], color="lightsteelblue", label=bars[0])
    for marker, (quantity, values) in zip("ox|+", dots.items(), strict=False):
        panel.plot(values, range(len(names)), marker, label=quantity)
    panel.set_yticks(range(len(names)), names, parse_math=False)
    panel.set_xlim(0, 1.02)
    panel.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return _draw(figure)


def counts(names: Sequence[str], panels: Mapping[str, Mapping[str, Sequence[int]]]) -> np.ndarray:
    """Draw one panel per quantity, with one horizontal bar of stacked parts per name.

    Args:
        names: Labels of the bars.
        panels: By panel title, the counts of each part, in the order of `names`.
    """
    figure = Figure(figsize=(4.5 * len(panels), 0.35 * len(names) + 1.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for panel, (title, parts) in zip(axes, panels.items(), strict=True):
        left = np.zeros(len(names))
        for part, numbers in parts.items():
            panel.barh(range(len(names)), numbers, left=left, label=part)
            left += numbers
        panel.set_yticks(range(len(names)), names, parse_math=False)
        panel.set_title(title, fontsize=10)
        panel.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8
    )
    return _draw(figure)


def _panel(
    size: tuple[float, float], title: str, x_label: str, y_label: str
) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    panel = figure.subplots()
    panel.set_xlabel(x_label)
    panel.set_ylabel(y_label)
    panel.set_title(title, fontsize=10, wrap=True)
    panel.grid(alpha=0.3)
    return figure, panel


def _draw(figure: Figure) -> np.ndarray:
    figure.set_dpi(_DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # Characters that the font lacks show as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return rgba[..., :3].copy()
