"""The error families of Hygie: who can act, whether to try again, what the caller gets.

::

    HygieError                     code     http  exit  retry  who acts
    ├─ InvalidRequestError         HYG-1xx  400   10    no     the caller
    ├─ RefusedError                HYG-2xx  403   20    no     the caller's manager
    ├─ NotFoundError               HYG-3xx  404   30    no     the caller
    ├─ UnavailableError            HYG-4xx  503   40    yes    operations
    ├─ IntegrityError              HYG-5xx  500   50    never  security, at once
    └─ SettingsError               HYG-6xx  --    60    no     the operator, at start

The first digit of a code is the family, the second the room (0 base, 1 database, 2 journal, 3 keys,
4 sites, 5 vault, 6 gate, 7 faces, 8 backups, 9 command line, A registers, B proof, D copies).  A room declares
its own errors in its ``errors.py`` as subclasses with ``code``, ``fr`` and ``en``; codes never change meaning.
The sentences are class attributes, not docstrings, because ``python -OO`` strips docstrings.  Facts go into keyword
fields and never hold health data: no identifier typed by a caller, no value of a resource.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Language = Literal["fr", "en"]
Fact = str | int | float | bool | None


class HygieError(Exception):
    """Root of all errors that a person or a program outside may meet."""

    code: ClassVar[str] = "HYG-000"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False
    fr: ClassVar[str] = "Une erreur est survenue."
    en: ClassVar[str] = "An error occurred."

    def __init__(self, **facts: Fact) -> None:
        self.facts = facts
        super().__init__(self.code)

    def sentence(self, language: Language = "en") -> str:
        """The one sentence for the person who can act, with the facts filled in.

        A fact that is itself in words is given in both languages: ``reason_fr`` and ``reason_en`` fill ``{reason}``.
        """
        facts = _Facts({name.removesuffix(f"_{language}"): fact for name, fact in self.facts.items()})
        return (self.fr if language == "fr" else self.en).format_map(facts)

    def __str__(self) -> str:
        return f"{self.code} {self.sentence('en')}"


class _Facts(dict[str, Fact]):
    """Facts for a template; an absent one reads as a question mark instead of failing."""

    def __missing__(self, key: str) -> str:
        return "?"


class InvalidRequestError(HygieError):
    """What the caller sent cannot be accepted as it is."""

    code = "HYG-100"
    http_status = 400
    exit_code = 10
    fr = "La requête n'est pas valide : {reason}."
    en = "The request is not valid: {reason}."


class RefusedError(HygieError):
    """The caller is not entitled; the answer never tells whether the object exists."""

    code = "HYG-200"
    http_status = 403
    exit_code = 20
    fr = "Cet accès n'est pas autorisé."
    en = "This access is not allowed."


class NotFoundError(HygieError):
    """What was asked for is not there, or is not the caller's: the same answer for both."""

    code = "HYG-300"
    http_status = 404
    exit_code = 30
    fr = "Introuvable."
    en = "Not found."


class UnavailableError(HygieError):
    """A part is down or saturated; the same request may succeed later."""

    code = "HYG-400"
    http_status = 503
    exit_code = 40
    retryable = True
    fr = "Le service est momentanément indisponible ({part}) : réessayez."
    en = "The service is temporarily unavailable ({part}): try again."


class IntegrityError(HygieError):
    """Stored bytes are not what was written. Never retried on the same copy, always a finding."""

    code = "HYG-500"
    http_status = 500
    exit_code = 50
    fr = "Une donnée stockée n'est pas intègre ({part})."
    en = "Stored data is not intact ({part})."


class SettingsError(HygieError):
    """A setting is missing, wrong or too weak: Hygie refuses to start."""

    code = "HYG-600"
    exit_code = 60
    fr = "Réglage refusé ({setting}) : {reason}."
    en = "Setting refused ({setting}): {reason}."
