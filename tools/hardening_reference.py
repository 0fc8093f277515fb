"""Write docs/reference/hardening.md from the shipped points. Run it after changing one."""

from __future__ import annotations

from pathlib import Path

from hygie.hardening.points import expected, points

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "hardening.md"
HEAD = """\
# Points of hardening

Written by `tools/hardening_reference.py` from `src/hygie/hardening/points.toml`; do not edit by hand. What `hygie work`
looks at every hour on its machine ([how](../howto/hardening.md)); numbers are those of ANSSI-BP-028 v2.0,
*Recommandations de configuration d'un système GNU/Linux*; titles and reasons are ours. `=`: no value is better than
another, only a change from the baseline counts. Each is *kept*, *not kept*, *not applicable* or *cannot tell*.

| point | what | source | level | expected | why |
|---|---|---|---|---|---|
"""
TAIL = """
The clock is another check (`tech-3.clock`), as are Hygie's processes and files (`tech-5.processes`, `tech-5.files`).
"""


def page() -> str:
    """The Markdown page."""
    rows = [
        f"| `{one.id}` | {one.en}{_settings(one.asks)} | {one.source} | {one.level} | {expected(one)} |"
        f" {one.why_en} |\n"
        for one in points().values()
    ]
    return HEAD + "".join(rows) + TAIL


def _settings(asks: object) -> str:
    named = asks.get("sysctl", ()) if isinstance(asks, dict) else ()
    return f" ({', '.join(f'`{name}`' for name in named)})" if named else ""


if __name__ == "__main__":
    PAGE.write_text(page())
