"""Identity providers in the settings: read back, and refused when weak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hygie.base.errors import SettingsError
from hygie.base.identity_providers import IdentityProviderSettings, is_safe_address
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, check_machine, default_settings, load_settings, write_settings
from hygie.base.settings_checks import ExposedFileError

PSC = "https://auth.esw.esante.gouv.fr/auth/realms/esante-wallet"


def made(**fields: Any) -> IdentityProviderSettings:
    usual = {"name": "psc", "label": "PSC", "issuer": PSC, "client_id": "hygie", "secret": "secrets/psc"}
    return IdentityProviderSettings(**{**usual, "preset": "pro-sante-connect", **fields})


def settings_with(*providers: IdentityProviderSettings, production: bool = True) -> Settings:
    return msgspec.structs.replace(default_settings(production=production), identity_providers=providers)


def test_providers_written_are_read_back_equal(tmp_path: Path) -> None:
    keycloak = made(name="chu", issuer="https://sso.chu.example/realms/soins", preset="keycloak", acr=("2",))
    settings = settings_with(made(), keycloak)
    write_settings(tmp_path, settings)
    assert load_settings(tmp_path) == settings


def test_a_preset_says_what_is_left_out() -> None:
    shape = made().shape
    assert (shape.scopes, shape.acr, shape.professional_claim, shape.userinfo) == (
        ("openid", "scope_all"),
        ("eidas1",),
        "SubjectNameID",
        True,
    )
    assert made(preset="keycloak").shape.professional_claim == ""
    assert made(acr=("eidas2",), userinfo=False).shape.acr == ("eidas2",)


@pytest.mark.parametrize(
    "fields",
    [
        {"issuer": "http://sso.example"},
        {"issuer": "http://localhost:8080"},
        {"issuer": "https://sso.example?x=1"},
        {"issuer": "https://sso.example#x"},
        {"issuer": "https://user@sso.example"},
        {"issuer": "ftp://sso.example"},
        {"issuer": "sso.example"},
        {"issuer": "http://127.0.0.1:8080"},  # in production
        {"name": "enrol"},
        {"scopes": ("profile",)},
        {"acr": ()},
        {"preset": "keycloak"},  # no level said, in production
        {"client_authentication": "private_key_jwt"},
        {"key_id": "2026"},
    ],
)
def test_a_weak_provider_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        write_settings(tmp_path, settings_with(made(**fields)))
    assert not (tmp_path / "hygie.toml").exists()


def test_two_providers_that_could_be_taken_for_one_another_are_refused(tmp_path: Path) -> None:
    for other in (made(), made(name="other"), made(issuer="https://other.example")):
        with pytest.raises(SettingsError):
            write_settings(tmp_path, settings_with(made(), other))


def test_a_trial_may_use_a_provider_of_this_machine(tmp_path: Path) -> None:
    local = made(issuer="http://127.0.0.1:9400", preset="generic")
    write_settings(tmp_path, settings_with(local, production=False))
    assert is_safe_address("http://[::1]:9400/x")
    assert not is_safe_address("http://127.0.0.1.example/")


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secrets" / "psc"
    secret.parent.mkdir()
    secret.write_text("s3cret")
    secret.chmod(0o644)
    with pytest.raises(ExposedFileError):
        check_machine(settings_with(made(), production=False), DataFolder.at(tmp_path))
    secret.chmod(0o600)
    check_machine(settings_with(made(), production=False), DataFolder.at(tmp_path))
