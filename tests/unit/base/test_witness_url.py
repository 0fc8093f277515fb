"""Which addresses of a witness elsewhere are taken."""

from __future__ import annotations

import pytest

from hygie.base.errors import SettingsError
from hygie.base.settings_checks import check_witness_url


@pytest.mark.parametrize(
    "url", ["https://w.example:7070", "https://w.example/w1", "http://127.0.0.1:70", "http://[::1]"]
)
def test_production_takes_https_and_what_stays_on_this_machine(url: str) -> None:
    check_witness_url(url, production=True)


@pytest.mark.parametrize("url", ["http://10.0.0.7:7070", "http://localhost.example"])
def test_production_refuses_clear_http_to_another_machine(url: str) -> None:
    check_witness_url(url, production=False)
    with pytest.raises(SettingsError, match="HYG-600"):
        check_witness_url(url, production=True)


@pytest.mark.parametrize("url", ["10.0.0.7:7070", "ftp://w.example", "https://", "https://w:99999", "/run/w.sock"])
def test_what_is_not_the_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="HYG-600"):
        check_witness_url(url, production=False)
