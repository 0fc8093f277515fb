"""A plain FHIR client over HTTPS: what anyone would write with the standard library and ``connection.json``."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from hygie.base.errors import Language, UnavailableError

ANSWER_S_MAX = 60.0  # a large bundle on a busy laptop
REPEATABLE = frozenset({"GET", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON. Raises: ValueError."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Hygie's stable code in an OperationOutcome (``HYG-200``); empty when there is none."""
        return outcome(self.body)[0]


def outcome(body: bytes | dict[str, Any]) -> tuple[str, str]:
    """(stable code, words) of an OperationOutcome; both empty when it is not one."""
    try:
        issue = (json.loads(body) if isinstance(body, bytes) else body)["issue"][0]
        details = issue.get("details", {})
        code = str(details.get("coding", [{}])[0].get("code", ""))
        return code, str(details.get("text") or issue.get("diagnostics") or issue.get("code", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", ""


class FhirClient:
    """One kept connection, one request at a time.

    Args: base_url: ``https://HOST:PORT/tenant/environment/fhir``; ca_file: the certificate to trust; token: bearer;
    language: of the sentences that refuse; source: the address it comes from, the system's choice when empty.
    """

    def __init__(
        self, base_url: str, ca_file: Path, token: str, *, language: Language = "en", source: str = ""
    ) -> None:
        parts = urlsplit(base_url)
        assert parts.hostname is not None
        self._host, self._port, self._path = parts.hostname, parts.port or 443, parts.path.rstrip("/")
        self._trusted = ssl.create_default_context(cafile=str(ca_file))
        self._token = token
        self._language = language
        self._source = (source, 0) if source else None
        self._connection: http.client.HTTPSConnection | None = None

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def get(self, path: str) -> Answer:
        """Read or search: ``Patient/123``."""
        return self.request("GET", path)

    def request(self, method: str, path: str = "", body: bytes | None = None) -> Answer:
        """One request below the base.

        Raises: UnavailableError: no answer; a write may then have been done or not.
        """
        headers = {"Accept": "application/fhir+json", "Accept-Language": self._language, "User-Agent": "hygie-demo"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
        for attempt in (1, 2):
            fresh = self._connection is None
            try:
                return self._exchange(method, f"{self._path}/{path}".rstrip("/"), body, headers)
            except (http.client.HTTPException, OSError) as error:
                self.close()
                # A kept connection may have been closed meanwhile; a write is never sent twice.
                if attempt == 2 or fresh or method not in REPEATABLE:
                    raise UnavailableError(part="https") from error
        raise AssertionError("unreachable")

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=ANSWER_S_MAX, context=self._trusted, source_address=self._source
            )
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def close(self) -> None:
        """Forget the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
