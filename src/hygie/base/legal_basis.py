"""Why data may be erased, as an instruction, a certificate and the journal name it."""

from __future__ import annotations

from enum import StrEnum


class LegalBasis(StrEnum):
    """Why data may be erased (RGPD article 17(1), or the end of the hosting contract)."""

    NO_LONGER_NECESSARY = "rgpd-17-1-a"
    CONSENT_WITHDRAWN = "rgpd-17-1-b"
    OBJECTION = "rgpd-17-1-c"
    UNLAWFUL = "rgpd-17-1-d"
    LEGAL_OBLIGATION = "rgpd-17-1-e"
    END_OF_CONTRACT = "contract-end"
