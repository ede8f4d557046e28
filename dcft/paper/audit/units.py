"""Which unit and which way of shortening turn a count into what is printed."""

from decimal import Decimal
from fractions import Fraction
from math import floor

from dcft.paper.printed import POWERS, size


def shorten(number: Fraction, decimals: int, cut: bool = False) -> Fraction:
    """A number with so many decimals: rounded half up, or cut off."""
    scale = 10**decimals
    return Fraction(floor(number * scale + (0 if cut else Fraction(1, 2))), scale)


def decimals(number: Decimal) -> int:
    """How many decimals a printed number has."""
    return max(0, -number.as_tuple().exponent)


def ways(count: int, printed: str, whole: int | None = None) -> list[str]:
    """The ways in which a count becomes the printed figure.

    Args:
        count: parameters or rows.
        printed: "0.079M", "24k", "184M", "0.08%", "1,043".
        whole: what a percentage is of.

    Returns:
        Those that give the figure, of "10^6 rounded" and "10^6 cut", "2^20 rounded" and "2^20 cut" (other powers for
        other letters; "rounded" and "cut" for plain numbers and percentages). Where both give it, the unit alone
        ("10^6"; "plain"). Empty if none does.
    """
    number, suffix = size(printed)
    digits, target = decimals(number), Fraction(number)
    power = POWERS[suffix]
    bases = {f"10^{3 * power} ": 1000, f"2^{10 * power} ": 1024} if power else {"": 1}
    agreeing = []
    for unit, base in bases.items():
        value = Fraction(100 * count, whole) if suffix == "%" else Fraction(count, base**power)
        hits = [how for how in ("rounded", "cut") if shorten(value, digits, how == "cut") == target]
        if hits:
            agreeing.append(unit.strip() or "plain" if len(hits) == 2 else unit + hits[0])
    return agreeing
