"""OpenMetrics text: its grammar, and the alerts that come with Hygie."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import yaml

import hygie
from hygie.watch.exposition import SAMPLES_MAX, Family, exposed

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
DESCRIBED = re.compile(rf"# (TYPE|HELP) ({NAME}) (.+)")


def read(text: str) -> dict[str, str]:
    """Name of each sample -> kind of its family. Raises: AssertionError: not OpenMetrics."""
    assert text.endswith("# EOF\n")
    found, kinds, family = {}, {}, ""
    for line in text.splitlines()[:-1]:
        if line.startswith("#"):
            told = DESCRIBED.fullmatch(line)
            assert told is not None, line
            if told[1] == "TYPE":
                family = told[2]
                assert family not in kinds, "a family comes once, whole"
                kinds[family] = told[3]
            assert told[2] == family
            continue
        told = SAMPLE.fullmatch(line)
        assert told is not None, line
        assert told[1] == family + ("_total" if kinds[family] == "counter" else "")
        found[told[1]] = kinds[family]
    return found


def test_families_are_written_as_openmetrics_is_read() -> None:
    gauge = Family("hygie_x_seconds", "gauge", 'of "x"\\\n')
    gauge.add(1.5, site='pa"ris\\\n', other="y")
    gauge.add(True)
    counter = Family("hygie_y", "counter", "y")
    counter.add(1_780_000_000_123)
    text = exposed([gauge, counter, Family("hygie_none", "gauge", "nothing")]).decode()
    assert read(text) == {"hygie_x_seconds": "gauge", "hygie_y_total": "counter"}
    assert 'hygie_x_seconds{site="pa\\"ris\\\\\\n",other="y"} 1.5\n' in text
    assert "hygie_y_total 1780000000123\n" in text
    for number in range(2 * SAMPLES_MAX):
        gauge.add(1, site=str(number))
    assert len(gauge.samples) == SAMPLES_MAX


def test_each_alert_names_metrics_that_exist() -> None:
    text = (resources.files("hygie.watch") / "prometheus-alerts.yml").read_text("utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    source = (Path(hygie.__file__).parent / "metering.py").read_text()
    known = set(re.findall(r'Family\("(hygie_[a-z_]+)"', source))
    assert len(known) > 12
    for rule in group["rules"]:
        named = set(re.findall(r"\bhygie_[a-z_]+", rule["expr"]))
        assert named, rule["alert"]
        assert named <= known, rule["alert"]
        assert {"summary", "summary_fr"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in ("critical", "warning")
