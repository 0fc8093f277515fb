"""The base score of a CVSS v3 vector. Source: first.org, CVSS v3.1 specification, section 7.1 and appendix A."""

from __future__ import annotations

SEVERITIES = ("critical", "high", "medium", "low")  # gravest first
_FLOORS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.0, "low"))
_VALUES = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {  # by scope: unchanged, changed
    "N": (0.85, 0.85),
    "L": (0.62, 0.68),
    "H": (0.27, 0.5),
}


def base_score(vector: str) -> float | None:
    """The base score, 0 to 10; None for what is no vector of version 3.0 or 3.1."""
    head, *parts = vector.split("/")
    if head not in ("CVSS:3.0", "CVSS:3.1") or not all(part.count(":") == 1 for part in parts):
        return None
    metrics = dict(part.split(":") for part in parts)
    try:
        changed = {"U": False, "C": True}[metrics["S"]]
        privileges = _PRIVILEGES[metrics["PR"]][changed]
        value = {name: known[metrics[name]] for name, known in _VALUES.items()}
    except KeyError:
        return None
    lost = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    impact = 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15 if changed else 6.42 * lost
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * value["AV"] * value["AC"] * privileges * value["UI"]
    return _rounded_up(min((1.08 if changed else 1.0) * (impact + exploitability), 10.0))


def severity_of(score: float) -> str:
    """The word for a score, by the specification's own scale; none (0) counts as low."""
    return next(word for floor, word in _FLOORS if score >= floor)


def _rounded_up(score: float) -> float:
    """To one decimal, upwards; in whole numbers, as appendix A asks, so that no machine rounds otherwise."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10
