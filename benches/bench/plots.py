"""Plots for the document: SVG that stands alone, in light and in dark."""

import math
from html import escape

COLOURS = ["#2f7de0", "#d3600f", "#8256c8", "#20905a", "#c0327f", "#7a7f87", "#a98700"]
STYLE = ("<style>text{font:12px system-ui,sans-serif;fill:#57606a}.h{font-size:13px;font-weight:600}.g{stroke:#8885;stroke-width:1}"
         ".l{fill:none;stroke-width:2;stroke-linejoin:round}.d{fill:#fff}"
         "@media(prefers-color-scheme:dark){text{fill:#9aa5b1}.d{fill:#0d1117}}</style>")
WIDE, HIGH, LEFT, TOP, BOTTOM, LETTER = 820, 360, 62, 40, 46, 6.9
PLACES = [(50, "p50"), (90, "p90"), (99, "p99"), (99.9, "p999"), (99.99, "p9999")]


def plot(title, x_label, y_label, lines, x, y):
    """Lines of (name, points, dashed) on two axes: `(to_unit, ticks)`, which map data to 0..1 and mark values."""
    right = 40 + LETTER * max((len(name) for name, _, _ in lines), default=0) + 30
    at_x = lambda value: LEFT + x[0](value) * (WIDE - LEFT - right)
    at_y = lambda value: HIGH - BOTTOM - y[0](value) * (HIGH - TOP - BOTTOM)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(title)}">{STYLE}',
           f'<text class="h" x="4" y="16">{escape(title)}</text>']
    for value, text in y[1]:
        out.append(f'<path class="g" d="M{LEFT} {at_y(value):.1f}H{WIDE - right:.0f}"/>'
                   f'<text x="{LEFT - 6}" y="{at_y(value) + 4:.1f}" text-anchor="end">{text}</text>')
    for value, text in x[1]:
        out.append(f'<path class="g" d="M{at_x(value):.1f} {TOP}V{HIGH - BOTTOM}"/>'
                   f'<text x="{at_x(value):.1f}" y="{HIGH - BOTTOM + 17}" text-anchor="middle">{text}</text>')
    for index, (name, points, dashed) in enumerate(lines):
        stroke = f'stroke="{COLOURS[index % len(COLOURS)]}"' + (' stroke-dasharray="6 4"' if dashed else "")
        path = "L".join(f"{at_x(a):.1f} {at_y(b):.1f}" for a, b in points)
        below = TOP + 8 + 19 * index
        out.append(f'<path class="l" {stroke} d="M{path}"/>')
        out += [f'<circle class="l d" {stroke} cx="{at_x(a):.1f}" cy="{at_y(b):.1f}" r="3"/>' for a, b in points]
        out.append(f'<path class="l" {stroke} d="M{WIDE - right + 12:.0f} {below}h22"/>'
                   f'<text x="{WIDE - right + 40:.0f}" y="{below + 4}">{escape(name)}</text>')
    out.append(f'<text x="{(LEFT + WIDE - right) / 2:.0f}" y="{HIGH - 8}" text-anchor="middle">{escape(x_label)}</text>'
               f'<text x="4" y="34">{escape(y_label)}</text></svg>')
    return "".join(out)


def linear(most):
    """From 0 to a little more than the most."""
    most = most * 1.06 or 1
    rough = most / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    return lambda value: value / most, [(step * index, short(step * index)) for index in range(int(most / step) + 1)]


def logarithmic(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) - 1e-9)
    high = max(high, low + 1)
    ticks = [(10.0**power, short(10.0**power)) for power in range(low, high + 1)]
    return lambda value: (math.log10(max(value, 10.0**low)) - low) / (high - low), ticks


def percentiles():
    nines = lambda percent: -math.log10(1 - percent / 100)
    low, high = nines(PLACES[0][0]), nines(PLACES[-1][0])
    return lambda value: (nines(value) - low) / (high - low), [(at, f"{at:g}%") for at, _ in PLACES]


def short(value):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
