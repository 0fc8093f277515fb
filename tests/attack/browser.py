"""A browser without a screen: cookies, forms and redirections as a person's browser has them, and no script."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from tests.acceptance.conftest import Installation
from tests.attack.installation import trust


@dataclass
class Form:
    """One form of a page, with what its fields hold."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.text = ""
        self.inline = False
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        self._inside = tag
        self.inline |= "style" in held or any(name.startswith("on") for name in held)
        self.inline |= tag == "style" or (tag == "script" and "src" not in held)
        if tag == "form":
            self.forms.append(Form(held["action"], data=held))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[held["name"]] = held.get("value", "")
        elif tag == "button" and self.forms and "value" in held:
            self.forms[-1].steps.append(held["value"])
        elif tag == "a":
            self.links.append(held["href"])

    def handle_data(self, data: str) -> None:
        self.text += data

    def form(self, step: str) -> Form:
        return next(one for one in self.forms if step in [*one.steps, one.fields.get("step")])


class Browser:
    """One person's browser, which follows nothing by itself."""

    def __init__(self, made: Installation, language: str = "en") -> None:
        self.made = made
        self.client = httpx.Client(verify=trust(made), headers={"accept-language": language}, timeout=30)
        self.answer: httpx.Response
        self.page = Page("")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def go(self, method: str, url: str, **how: Any) -> httpx.Response:
        """One request. A redirection to ourselves is followed, as browsers do; one to elsewhere is not."""
        self.answer = self.client.request(method, url, **how)
        while self.answer.status_code == 303 and self.answer.headers["location"].startswith("/"):
            self.answer = self.client.get(urljoin(str(self.answer.url), self.answer.headers["location"]))
        self.page = Page(self.answer.text)
        return self.answer

    def submit(self, step: str, **fields: str) -> httpx.Response:
        """Press a button of the page."""
        form = self.page.form(step)
        url = urljoin(str(self.answer.url), form.action)
        return self.go("POST", url, data={**form.fields, **fields, "step": step})

    @property
    def sent_to(self) -> str:
        """Where the last answer sends the browser on."""
        assert self.answer.status_code == 303, (self.answer.status_code, self.page.text)
        return self.answer.headers["location"]

    @property
    def told(self) -> dict[str, str]:
        """What the application is told in the address that it gets the browser back at."""
        return {name: one[0] for name, one in parse_qs(urlsplit(self.sent_to).query).items()}


@dataclass
class Launch:
    """What an application sends a browser with, and keeps."""

    made: Installation
    client: str
    redirect_uri: str
    place: str = "chu/prod"
    scope: str = "user/*.cruds"
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def base(self) -> str:
        return f"https://localhost:{self.made.port}/{self.place}"

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    def asked(self, **changed: str | None) -> dict[str, str]:
        made: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "aud": f"{self.base}/fhir",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changed,
        }
        return {name: value for name, value in made.items() if value is not None}

    def address(self, **changed: str | None) -> str:
        return f"{self.base}/oauth2/authorize?{urlencode(self.asked(**changed))}"

    def exchange(self, code: str, **changed: str | None) -> httpx.Response:
        """Change a code for a token, as a public application does."""
        made: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client,
            "code_verifier": self.verifier,
            **changed,
        }
        form = {name: value for name, value in made.items() if value is not None}
        with httpx.Client(verify=trust(self.made), timeout=30) as client:
            return client.post(f"{self.base}/oauth2/token", data=form)
