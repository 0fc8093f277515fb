"""A hospital ward for the tests of people's sign-in: two applications, two identity providers, people who may enter."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest
from joserfc.jwk import ECKey

from tests.acceptance.conftest import Installation, free_port, new_installation, populate
from tests.attack.applications import Application, fhir
from tests.attack.browser import Browser, Launch
from tests.attack.identity_provider import HostileProvider

HERE = "http://127.0.0.1:9/callback"  # of the public application
THERE = "https://dpi.example/callback?from=hygie"  # of the confidential one
RPPS = "10000000017"
OTHER_RPPS = "10000000025"
GRANTED = ("--reason", "attack", "--approver", "chief")


@dataclass
class Ward:
    """made: runs with two processes; provider: speaks TLS, vouches for numbers, lies when told; mock: the issuer of a
    provider that we did not write; dpi: has a key; its address of public programs is another account's, ``mobile``."""

    made: Installation
    provider: HostileProvider
    mock: str
    dpi: Application
    folder: Path

    def launch(self, **how: str) -> Launch:
        return Launch(self.made, **{"client": "mobile", "redirect_uri": HERE, **how})

    def browser(self, language: str = "en") -> Browser:
        return Browser(self.made, language)

    def proven(self, browser: Browser, launch: Launch, number: str = RPPS) -> Browser:
        """Sign in through the provider, up to the page before entering."""
        browser.go("GET", launch.address())
        browser.go("GET", self.back(browser, number))
        return browser

    def back(self, browser: Browser, number: str = RPPS) -> str:
        """Go to the provider from the first page; the address at which it sends the browser back."""
        link = next(one for one in browser.page.links if "provider=chu" in one)
        browser.go("GET", f"https://localhost:{self.made.port}{link}")
        self.provider.claims = {**self.provider.claims, "number": f"8{number}"}
        return self.visited(browser.sent_to)

    def visited(self, address: str) -> str:
        """What the provider answers to a browser that comes: where it sends it."""
        with httpx.Client(verify=ssl.create_default_context(cafile=str(self.folder / "provider.pem"))) as client:
            return client.get(address).headers["location"]

    def code(self, launch: Launch, number: str = RPPS) -> str:
        """A code, by a whole sign-in."""
        with self.browser() as browser:
            self.proven(browser, launch, number).submit("continue")
            return browser.told["code"]

    def token(self, launch: Launch | None = None, number: str = RPPS) -> str:
        """An access token of a person, by a whole sign-in."""
        launch = launch or self.launch()
        answer = launch.exchange(self.code(launch, number))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def read(self, token: str) -> int:
        """What the FHIR face answers: 404 to who may read."""
        return fhir(self.made, "GET", "Patient/absent", token).status

    def person(self, name: str, number: str, role: str = "caregiver", *more: str) -> str:
        """An account with a habilitation. Returns the habilitation."""
        self.made.hygie("account", "create", name, "--professional-id", number, "--label", name.title())
        words = ("--role", role, *GRANTED, *more)
        return str(self.made.hygie("habilitation", "grant", name, "chu", "prod", *words)["habilitation"])

    def application(self, name: str, role: str = "application") -> str:
        """An account of an application with a habilitation. Returns the habilitation."""
        self.made.hygie("account", "create", name, "--kind", "application", "--label", f"L'<i>{name}</i>")
        words = ("--role", role, *GRANTED)
        return str(self.made.hygie("habilitation", "grant", name, "chu", "prod", *words)["habilitation"])


def is_lost(browser: Browser, status: int = 400) -> None:
    """A page that says so, and sends nobody anywhere."""
    assert browser.answer.status_code == status, browser.page.text
    assert "location" not in browser.answer.headers
    assert "HYG-1F" in browser.page.text


@contextmanager
def ward_of() -> Iterator[Ward]:
    """A ward that runs, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-x-"))
    made = new_installation(folder)
    with HostileProvider(folder=folder) as provider, mock_provider() as mock:
        _settings(made, folder, provider.issuer, mock)
        try:
            made.up()
            populate(made)
            made.hygie("tenant", "create", "other")
            made.hygie("environment", "create", "other", "prod", "--kind", "production")
            dpi = Application(made, "dpi", ECKey.generate_key("P-384", private=True))
            ward = Ward(made, provider, mock, dpi, folder)
            for name in ("dpi", "mobile"):
                ward.application(name)
            (folder / "dpi.json").write_text(dpi.jwks())
            made.hygie("application", "add-key", "dpi", "--jwks", str(folder / "dpi.json"))
            made.hygie("application", "add-redirect", "dpi", THERE)
            made.hygie("application", "add-redirect", "mobile", HERE, "--public")
            ward.person("jeanne", RPPS)
            yield ward
        finally:
            with suppress(OSError):
                made.down()
            shutil.rmtree(folder, ignore_errors=True)


def _settings(made: Installation, folder: Path, issuer: str, mock: str) -> None:
    for name in ("chu", "psc"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text("s3cret")
    path = made.data / "hygie.toml"
    text = re.sub(r"(?m)^processes = .*$", "processes = 2", path.read_text())
    providers = [
        {"name": "chu", "label": "CHU", "issuer": issuer, "client_id": "hygie", "secret": str(folder / "chu")}
        | {"acr": ["eidas1"], "professional_claim": "number", "authority": str(folder / "provider.pem")},
        {"name": "psc", "label": "Pro Santé", "preset": "pro-sante-connect", "issuer": mock, "client_id": "hygie"}
        | {"secret": str(folder / "psc"), "acr": [], "scopes": ["openid", "profile"]},
    ]
    for one in providers:
        text += "\n[[identity_providers]]\n" + "".join(f"{name} = {json.dumps(one[name])}\n" for name in one)
    path.write_text(text)


@contextmanager
def mock_provider() -> Iterator[str]:
    """``oidc-provider-mock``: its issuer, where the subject ``jeanne`` has the number of the ward's Jeanne."""
    port = free_port()
    claims = json.dumps({"sub": "jeanne", "SubjectNameID": f"8{RPPS}"})
    words = ("-m", "oidc_provider_mock", "--port", str(port), "--user-claims", claims)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    issuer = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 30
        while True:
            with suppress(OSError), urlopen(f"{issuer}/.well-known/openid-configuration") as answer:
                assert answer.status == 200
                break
            assert time.monotonic() < end, "the provider does not start"
            time.sleep(0.1)
        yield issuer
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    with ward_of() as made:
        yield made


@pytest.fixture(autouse=True)
def honest(ward: Ward) -> Iterator[None]:
    """Whatever a test makes the provider say, the next one finds it honest."""
    yield
    ward.provider.claims, ward.provider.metadata, ward.provider.forge = {}, {}, None
    ward.provider.down = False
