"""``python -m benchmarks.report``: the table of docs/performance.md, in Markdown, from the figures kept last."""

from __future__ import annotations

from benchmarks.figures import PROMISES, SHARED_FROM, Figure, cpu, load, number


def main() -> None:
    """Print the table."""
    kept = load()
    print(f"Machine: {kept.get('machine', 'unknown')}.\n")
    print("| work | measured | must | aim | | of `bare` | CPU an operation | others |")
    print("|---|---|---|---|---|---|---|---|")
    for name, promise in PROMISES.items():
        found = kept.get("figures", {}).get(name)
        if found is None:
            print(f"| {promise.work} | not measured | {_bound(promise.must, promise.unit)} |"
                  f" {_bound(promise.aim, promise.unit)} | | | | {promise.peers or '–'} |")  # fmt: skip
            continue
        figure = Figure(**found)
        cells = [
            promise.work,
            f"**{number(figure.value)}{_unit(promise.unit)}**" + (f" ({figure.note})" if figure.note else ""),
            _bound(promise.must, promise.unit),
            _bound(promise.aim, promise.unit),
            promise.verdict(figure.value),
            f"{figure.bare:.2f}" if figure.bare is not None else "",
            cpu(figure.cpu_us),
            promise.peers or "–",
        ]
        print(f"| {' | '.join(cells)} |")
    shared = [Figure(**one) for one in kept.get("figures", {}).values() if one["others"] >= SHARED_FROM]
    if shared:
        worst = max(figure.others for figure in shared)
        names = ", ".join(sorted(figure.name for figure in shared))
        print(f"\nOther work took up to {worst:.0%} of the machine while these were measured: {names}.")


def _unit(unit: str) -> str:
    return unit if unit.startswith("/") or not unit else f" {unit}"


def _bound(value: float | None, unit: str) -> str:
    return f"{number(value)}{_unit(unit)}" if value is not None else ""


if __name__ == "__main__":
    main()
