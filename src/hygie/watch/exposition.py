"""Metrics as OpenMetrics 1.0 writes them: families of samples, numbers alone, labels of known sets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SAMPLES_MAX = 1_000  # of one family: what is beyond is left out, so that no set can grow without end

Labels = Mapping[str, str]


@dataclass(slots=True)
class Family:
    """One metric. name: with its unit, without ``_total``; help: one line; samples: (labels, number)."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, number: float | bool, **labels: str) -> None:
        """One sample more."""
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append((labels, number))


def exposed(families: Sequence[Family]) -> bytes:
    """The text that Prometheus reads; a family without samples is told all the same."""
    lines = []
    for one in families:
        lines += [f"# TYPE {one.name} {one.kind}", f"# HELP {one.name} {_escaped(one.help)}"]
        name = f"{one.name}_total" if one.kind == "counter" else one.name
        for labels, number in one.samples:
            told = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
            lines.append(f"{name}{{{told}}} {number:.15g}" if told else f"{name} {number:.15g}")
    return "\n".join([*lines, "# EOF", ""]).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
