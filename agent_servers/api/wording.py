"""Figures, names and periods as they read in a sentence. Everything from outside is quoted here."""

import re

Cell = str | int | float | bool | None

STEP_ADJECTIVES = {
    "year": "yearly",
    "quarter": "quarterly",
    "month": "monthly",
    "week": "weekly",
    "day": "daily",
    "hour": "hourly",
}
_MAX_VALUE_CHARS = 40
_UNITS = {
    "mm": "mm", "cm": "cm", "m": "m", "km": "km", "kg": "kg", "g": "g", "lb": "lb", "lbs": "lb",
    "ms": "ms", "sec": "s", "secs": "s", "seconds": "s", "minutes": "min", "mins": "min",
    "hours": "h", "hrs": "h", "days": "days", "usd": "USD", "eur": "EUR", "gbp": "GBP",
    "pct": "%", "percent": "%", "percentage": "%", "celsius": "°C", "degc": "°C",
    "fahrenheit": "°F", "degf": "°F", "kwh": "kWh", "mwh": "MWh", "gwh": "GWh", "kw": "kW",
    "mw": "MW", "gw": "GW", "kmh": "km/h", "mph": "mph", "hpa": "hPa", "mb": "MB", "gb": "GB",
    "kb": "KB", "bytes": "bytes", "ppm": "ppm", "mpg": "mpg", "hz": "Hz", "litres": "l",
    "liters": "l",
}  # fmt: skip
_IN_BRACKETS = re.compile(r"^(?P<label>.*\S)\s*[(\[](?P<unit>[^()\[\]]{1,20})[)\]]$")


def number(value: Cell) -> str:
    """A figure with thousands separators and four significant digits; integers in full."""
    if value is None or isinstance(value, str | bool):
        return "none" if value is None else str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    if abs(value) >= 1e15 or abs(value) < 1e-4:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.1f}"
    text = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def percent(share: Cell) -> str:
    return f"{100 * float(share or 0):.1f}%"


def counted(count: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def name(text: str) -> str:
    """A column's name in a sentence of markdown."""
    return f"`{text}`"


def value(cell: object) -> str:
    """A value from the data in a sentence of markdown: one line, cut, nothing in it has effect."""
    if cell is None:
        return "(missing)"
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return number(cell)
    flat = " ".join(str(cell).split())
    if len(flat) > _MAX_VALUE_CHARS:
        flat = flat[: _MAX_VALUE_CHARS - 3].rstrip() + "..."
    return re.sub(r"([\\`*_\[\]<>|#!])", r"\\\1", flat) or "(blank)"


def listing(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def label_and_unit(column: str) -> tuple[str, str]:
    """A column's name as people write it, and its unit where the name tells it, else ''."""
    if match := _IN_BRACKETS.match(column):
        return _spaced(match["label"]), match["unit"]
    words = _spaced(column).split()
    if len(words) > 1 and (unit := _UNITS.get(words[-1].casefold())):
        return " ".join(words[:-1]), unit
    return " ".join(words), ""


def _spaced(column: str) -> str:
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " ").split())


def titled(column: str) -> str:
    """An axis title: the label, with its unit in brackets."""
    label, unit = label_and_unit(column)
    return f"{label} ({unit})" if unit else label
