"""Copy production, de-identified, into a test environment: invented patients, whose test INS is made to look real."""

from __future__ import annotations

import sys

from benchmarks import load
from benchmarks.bench_exit import answered
from benchmarks.data import Bundle, bundle_of
from benchmarks.figures import Figure, tell
from benchmarks.installation import running
from hygie.deidentify.rules import shipped_rules
from hygie.synthetic.patients import bundle_bytes

PATIENTS = 320  # some 10,000 resources
MADE_UP, REAL = b"1.2.250.1.213.1.4.10", b"1.2.250.1.213.1.4.8"


def bundles(patients: int) -> list[Bundle]:
    """Transaction Bundles that production takes."""
    return [bundle_of(bundle_bytes(seed).replace(MADE_UP, REAL)) for seed in range(patients)]


def main() -> None:
    """Import, declare, copy. Args: of the command: how many patients."""
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else PATIENTS
    with running() as installation:
        source, target = installation.environment("prod", kind="production")
        installation.environment("recette")
        load.import_all(installation, target, bundles(patients))
        answered(installation, "account", "create", "dpo", "--kind", "person")
        for name in ("prod", "recette"):
            words = ("--role", "privacy-officer", "--reason", "bench", "--approver", "chief")
            answered(installation, "habilitation", "grant", "dpo", source.tenant, name, *words)
        person = ("name=Chief", "account=chief", "employer=Host", "function=bench", "starts_on=2020-01-06")
        answered(installation, "register", "add", "person", *person)
        said = {
            **{"title": "bench", "purpose": "bench", "source": "prod", "target": "recette", "requested_by": "dpo"},
            **{"types": ";".join(shipped_rules().plans), "patients_max": patients, "k": 5, "ends_on": "2099-01-01"},
        }
        words = ("--state", "approved", "--approver", "chief", "--tenant", source.tenant)
        fields = [f"{name}={value}" for name, value in said.items()]
        key = answered(installation, "register", "add", "data-copy", *fields, *words)[0]["key"]
        asked = ("copy", "deidentified", source.tenant, "prod", "recette", "--declaration", str(key))
        done, seconds, peak = answered(installation, *asked)
        count = sum(done["resources"].values())
        note = f"{count:,} resources of {done['patients']} patients in {seconds:.1f} s, {done['left_out']} left out"
        tell(Figure("copy", count / seconds, note=note))
        tell(Figure("copy-memory", peak, note="peak of the command"))


if __name__ == "__main__":
    main()
