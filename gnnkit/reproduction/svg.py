"""Charts as inline SVG: colours are classes, so that a style sheet draws them for light and dark alike.

Lines differ by dash as well as by colour. Letters are `currentColor`; the legend is HTML below the picture, where it
wraps on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gnnkit.reproduction.markup import Html, element, joined

WIDTH, HEIGHT = 440, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 10, 40
COLOURS = 7


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        name: For the legend.
        x: Where.
        y: How high; NaN and, on a logarithmic axis, what is not positive leave a gap.
        low: The band's lower edge, as long as ``y``; None without a band.
        high: Its upper edge.
        marked: Draw every point.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    marked: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    y_limits: tuple[float, float] | None = None,
) -> Html:
    """Curves over a common axis.

    Args:
        lines: What to draw; see `Line`.
        title: What it shows.
        description: The same for those who cannot see it, with what is to be seen.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
        log_x: Logarithmic.
        log_y: Logarithmic.
        y_limits: Lowest and highest; what is drawn decides where None.

    Raises:
        ValueError: If there is nothing to draw.
    """
    xs = [x for line in lines for x in line.x if _drawable(x, log_x)]
    ys = [
        y for line in lines for part in (line.y, line.low or (), line.high or ()) for y in part if _drawable(y, log_y)
    ]
    if not xs or not ys:
        raise ValueError(f"{title}: there is no number to draw")
    across = _Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, log_x)
    low, high = (min(ys), max(ys)) if y_limits is None else y_limits
    up = _Scale(low, high, HEIGHT - BOTTOM, TOP, log_y, padded=y_limits is None)
    parts = [_axes(across, up, x_label, y_label)]
    for place, line in enumerate(lines):
        parts.append(_drawn(line, place, across, up))
    return figure(parts, [line.name for line in lines], title, description)


def figure(parts: Sequence[Html], names: Sequence[str], title: str, description: str, *, height: int = HEIGHT) -> Html:
    """An SVG in a ``figure`` with caption and legend."""
    drawing = element(
        "svg",
        element("title", title),
        element("desc", description),
        *parts,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=f"{title}. {description}",
    )
    keys = [
        element("li", element("svg", _key(place), viewBox="0 0 28 10", aria_hidden="true"), name)
        for place, name in enumerate(names)
    ]
    legend = element("ul", *keys, class_="legend") if len(names) > 1 else ""
    return element("figure", drawing, legend, element("figcaption", title))


def dot_chart(
    values: Mapping[str, Sequence[float]], *, title: str, description: str, x_label: str, log_x: bool = False
) -> Html:
    """A line of dots per name, one for each seed, and their mean as a bar across."""
    every = [value for row in values.values() for value in row if _drawable(value, log_x)]
    if not every:
        raise ValueError(f"{title}: there is no number to draw")
    height = BOTTOM + TOP + 42 * len(values)
    across = _Scale(min(every), max(every), 16, WIDTH - 16, log_x, padded=True)
    parts = [_horizontal_axis(across, x_label, height - BOTTOM)]
    for place, (name, row) in enumerate(values.items()):
        middle = TOP + 42 * place + 28
        parts.append(element("text", name, x=16, y=middle - 12, class_="tick"))
        parts.append(element("line", x1=16, x2=WIDTH - 16, y1=middle, y2=middle, class_="grid"))
        known = [value for value in row if _drawable(value, log_x)]
        shape = f"c{place % COLOURS}"
        parts += [element("circle", cx=_n(across(value)), cy=middle, r=4, class_=f"dot {shape}") for value in known]
        if known:
            mean = across(math.fsum(known) / len(known))
            parts.append(
                element("line", x1=_n(mean), x2=_n(mean), y1=middle - 9, y2=middle + 9, class_=f"line {shape}")
            )
    return figure(parts, [], title, description, height=height)


def graph_picture(
    names: str, edges: Sequence[tuple[int, int]], hops: Sequence[int], *, title: str, description: str
) -> Html:
    """A small graph on a circle, each node with its hops from the source."""
    centre, radius = (WIDTH / 2, HEIGHT / 2), HEIGHT / 2 - 34
    places = []
    for node in range(len(names)):
        angle = 2 * math.pi * node / len(names) - math.pi / 2
        places.append((centre[0] + 1.3 * radius * math.cos(angle), centre[1] + radius * math.sin(angle)))
    parts = [
        element(
            "line",
            x1=_n(places[first][0]),
            y1=_n(places[first][1]),
            x2=_n(places[second][0]),
            y2=_n(places[second][1]),
            class_="edge",
        )
        for first, second in edges
    ]
    for name, (x, y), hop in zip(names, places, hops, strict=True):
        parts.append(element("circle", cx=_n(x), cy=_n(y), r=22, class_=f"node h{min(hop, 4)}"))
        parts.append(element("text", f"{name} {hop}", x=_n(x), y=_n(y + 5), class_="node-name"))
    return figure(parts, [], title, description)


class _Scale:
    """From values to places, and its ticks."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool, padded: bool = False) -> None:
        self.log = log
        forward: Callable[[float], float] = math.log10 if log else float
        self.low, self.high = forward(low), forward(high)
        if self.low == self.high:
            self.low, self.high = self.low - 0.5, self.high + 0.5
        elif padded:
            margin = 0.04 * (self.high - self.low)
            self.low, self.high = self.low - margin, self.high + margin
        self._forward, self._start, self._end = forward, start, end

    def __call__(self, value: float) -> float:
        share = (self._forward(value) - self.low) / (self.high - self.low)
        return self._start + min(max(share, -0.02), 1.02) * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        """Values and their names."""
        if self.log and self.high - self.low > 0.7:
            step = max(1, math.ceil((self.high - self.low) / 6))
            factors = (1,) if self.high - self.low > 2.5 else (1, 2, 5)
            values = [
                factor * 10.0**power
                for power in range(math.floor(self.low), math.floor(self.high) + 1, step)
                for factor in factors
                if self.low <= math.log10(factor * 10.0**power) <= self.high
            ]
            return [(value, _named(value)) for value in values]
        low, high = (10**self.low, 10**self.high) if self.log else (self.low, self.high)
        rough = (high - low) / 5
        size = 10 ** math.floor(math.log10(rough))
        step_size = next(each * size for each in (1, 2, 2.5, 5, 10) if each * size >= rough)
        first = math.ceil(low / step_size - 1e-9)
        values = [count * step_size for count in range(first, math.floor(high / step_size + 1e-9) + 1)]
        return [(value, _named(value)) for value in values]


def _axes(across: _Scale, up: _Scale, x_label: str, y_label: str) -> Html:
    parts = [_horizontal_axis(across, x_label, HEIGHT - BOTTOM)]
    for value, name in up.ticks():
        y = _n(up(value))
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(element("text", name, x=LEFT - 6, y=_n(up(value) + 4), class_="tick end"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(element("text", y_label, x=12, y=middle, class_="label", transform=f"rotate(-90 12 {middle})"))
    return joined(parts)


def _horizontal_axis(across: _Scale, label: str, y: float) -> Html:
    left, right = across._start, across._end
    parts = [element("line", x1=_n(left), x2=_n(right), y1=y, y2=y, class_="axis")]
    for value, name in across.ticks():
        place = min(across(value), WIDTH - 4 * len(name))  # half a digit is 4 wide: the last one stays in
        parts.append(element("text", name, x=_n(place), y=y + 15, class_="tick middle"))
    parts.append(element("text", label, x=_n((left + right) / 2), y=y + 33, class_="label"))
    return joined(parts)


def _drawn(line: Line, place: int, across: _Scale, up: _Scale) -> Html:
    shape = f"c{place % COLOURS}"
    points = [
        (across(x), up(y))
        for x, y in zip(line.x, line.y, strict=True)
        if _drawable(x, across.log) and _drawable(y, up.log)
    ]
    parts = []
    if line.low is not None and line.high is not None:
        edges = [
            (across(x), up(low), up(high))
            for x, low, high in zip(line.x, line.low, line.high, strict=True)
            if _drawable(x, across.log) and _drawable(low, up.log) and _drawable(high, up.log)
        ]
        outline = [(x, high) for x, _, high in edges] + [(x, low) for x, low, _ in reversed(edges)]
        if outline:
            parts.append(element("polygon", points=_places(outline), class_=f"band {shape}"))
    parts.append(element("polyline", points=_places(points), class_=f"line {shape}"))
    if line.marked:
        parts += [element("circle", cx=_n(x), cy=_n(y), r=3.2, class_=f"dot {shape}") for x, y in points]
    return joined(parts)


def _key(place: int) -> Html:
    return element("line", x1=1, x2=27, y1=5, y2=5, class_=f"line c{place % COLOURS}")


def _drawable(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _places(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _named(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:g}" if abs(value) < 1e4 else f"{value / 1000:g}k"
