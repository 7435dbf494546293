"""Figures as text: medians with their spread, ratios, tables."""

import statistics

NONE = "–"


def spread(values, form="{:.2f}"):
    """Median, with the lowest and the highest if they differ as they are written."""
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    middle, low, high = (form.format(value) for value in (statistics.median(known), min(known), max(known)))
    return middle if low == high else f"{middle} ({low} to {high})"


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratios(values, references):
    """Round by round to the reference of the same round, as text; empty if there is none."""
    pairs = [value / reference for value, reference in zip(values, references) if value is not None and reference]
    return f", **{spread(pairs)}x**" if pairs else ""


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows])


def rounds(results, part):
    """The figures of a part, round by round."""
    found = [(name, figures) for name, figures in results.items() if name.startswith(f"{part}-")]
    return [figures for _, figures in sorted(found)]
