"""What a hosting process serves with, and what makes it refuse to start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from hygie.base.clock import SystemClock
from hygie.base.errors import SettingsError
from hygie.base.identity_providers import IdentityProviderSettings
from hygie.base.layout import DataFolder
from hygie.base.settings import default_settings
from hygie.hosting import providers_of


def house(folder: Path, **fields: Any) -> Any:
    usual = {"name": "psc", "label": "PSC", "issuer": "https://psc.example", "client_id": "hygie", "secret": "psc"}
    settings = default_settings(port=9443)
    settings = msgspec.structs.replace(settings, identity_providers=(IdentityProviderSettings(**{**usual, **fields}),))
    return SimpleNamespace(settings=settings, folder=DataFolder.at(folder), clock=SystemClock())


def test_a_provider_sends_people_back_to_an_address_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "psc").write_text("s3cret\n")
    (made,) = providers_of(house(tmp_path))
    assert made.redirect_uri == "https://localhost:9443/sign-in/psc"


@pytest.mark.parametrize(
    ("secret", "fields"),
    [
        (None, {}),
        ("not a key", {"client_authentication": "private_key_jwt", "key_id": "k"}),
        ("é", {}),
        ("s3cret", {"authority": "absent.pem"}),
    ],
)
def test_a_provider_that_cannot_be_used_refuses_to_start(
    tmp_path: Path, secret: str | None, fields: dict[str, Any]
) -> None:
    if secret is not None:
        (tmp_path / "psc").write_text(secret)
    with pytest.raises(SettingsError) as caught:
        providers_of(house(tmp_path, **fields))
    assert caught.value.facts["setting"] == "identity_providers.psc"
    assert "s3cret" not in str(caught.value)
