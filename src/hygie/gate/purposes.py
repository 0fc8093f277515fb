"""Purposes of use that a habilitation may be limited to: a closed list.

Source: http://terminology.hl7.org/ValueSet/v3-PurposeOfUse as FHIR R4 (4.0.1) expands it, without the abstract code at
its root.  A code stands for itself: a habilitation for ``TREAT`` is not one for ``ETREAT``.
"""

from __future__ import annotations

from typing import Final

_OPERATIONS = (
    "CAREMGT", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL", "HMARKT", "HOPERAT",
    "HOUTCOMS", "HPRGRP", "HQUALIMP", "HSYSADMIN", "HTEST", "LABELING", "MEMADMIN", "METAMGT", "MILCDM", "PATADMIN",
    "PATSFTY", "PERFMSR", "RECORDMGT", "SYSDEV", "TRAIN",
)  # fmt: skip
_PAYMENT = ("CLMATTCH", "COVAUTH", "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "HPAYMT", "MILDCRG", "REMITADV")
_RESEARCH = (
    "BIORCH", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "DSRCH", "HRESCH", "POARCH", "PRECLINTRCH", "TRANSRCH",
)  # fmt: skip
_REQUESTED = ("FAMRQT", "PATRQT", "PWATRNY", "SUPNWK")
_PUBLIC_HEALTH = ("DISASTER", "PUBHLTH", "THREAT")
_TREATMENT = ("BTG", "CLINTRL", "COC", "ERTREAT", "ETREAT", "POPHLTH", "TREAT")

PURPOSES: Final = frozenset((*_OPERATIONS, *_PAYMENT, *_RESEARCH, *_REQUESTED, *_PUBLIC_HEALTH, *_TREATMENT))
