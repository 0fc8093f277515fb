"""Where people may sign in: the OpenID Connect providers of the settings, refused when weak.

Sources: OpenID Connect Core 1.0 and Discovery 1.0; RFC 9700 (best current practice for OAuth 2.0); the technical pages
of Pro Santé Connect (ANS) and of Keycloak.  Secrets are never settings: they live in private files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from hygie.base.errors import SettingsError

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Word = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,100}$")]  # what OAuth allows in a scope or an acr (RFC 6749, 3.3)
FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Preset = Literal["pro-sante-connect", "keycloak", "generic"]
PROVIDERS_MAX = 20
RESERVED = frozenset({"enrol"})  # what stands at the same address: /sign-in/enrol


@dataclass(frozen=True, slots=True)
class Shape:
    """What a kind of provider usually wants. scopes: to ask for; acr: authentication levels to ask for and accept;
    professional_claim: where it tells the RPPS number of the person, and vouches for it; userinfo: whether claims are
    told there only."""

    scopes: tuple[str, ...]
    acr: tuple[str, ...]
    professional_claim: str
    userinfo: bool


# Pro Santé Connect identifies professionals against the RPPS itself (``SubjectNameID`` is the IdNat_PS); Keycloak and
# others say what their own administrator wrote, which proves no number.
SHAPES: Final[dict[Preset, Shape]] = {
    "pro-sante-connect": Shape(("openid", "scope_all"), ("eidas1",), "SubjectNameID", userinfo=True),
    "keycloak": Shape(("openid",), (), "", userinfo=False),
    "generic": Shape(("openid",), (), "", userinfo=False),
}


class IdentityProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider. issuer: as it writes itself in its tokens; secret: a private file, the client's secret or its
    private key (PEM); acr: levels that are asked for, any of which is accepted, none other; authority: a PEM file of
    who signs its certificate, when the system does not know them. What is left out is what the preset says."""

    name: Name
    label: Text
    issuer: Text
    client_id: Text
    preset: Preset = "generic"
    client_authentication: Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] = (
        "client_secret_basic"
    )
    secret: FilePath
    key_id: Text | None = None
    scopes: tuple[Word, ...] | None = None
    acr: tuple[Word, ...] | None = None
    professional_claim: Text | None = None
    userinfo: bool | None = None
    authority: FilePath | None = None

    @property
    def shape(self) -> Shape:
        """What holds once the preset filled what the settings leave out."""
        usual = SHAPES[self.preset]
        return Shape(
            usual.scopes if self.scopes is None else self.scopes,
            usual.acr if self.acr is None else self.acr,
            usual.professional_claim if self.professional_claim is None else self.professional_claim,
            usual.userinfo if self.userinfo is None else self.userinfo,
        )


def check_providers(providers: Sequence[IdentityProviderSettings], *, production: bool) -> None:
    """Refuse what would let somebody else speak for a provider, or a weak sign-in in. Raises: SettingsError."""
    names = [one.name for one in providers]
    issuers = [one.issuer for one in providers]
    if len(set(names)) != len(names) or len(set(issuers)) != len(issuers) or len(names) > PROVIDERS_MAX:
        raise _weak("identity_providers", f"each name and issuer once, {PROVIDERS_MAX} at most")
    for one in providers:
        where = f"identity_providers.{one.name}"
        if not is_safe_address(one.issuer) or urlsplit(one.issuer).query:
            raise _weak(f"{where}.issuer", "https://host…; http:// on this machine only")
        if production and urlsplit(one.issuer).scheme != "https":
            raise _weak(f"{where}.issuer", "https://host… in production")
        if one.name in RESERVED:
            raise _weak(f"{where}.name", "another name")
        if "openid" not in one.shape.scopes:
            raise _weak(f"{where}.scopes", "openid")
        if production and not one.shape.acr:
            raise _weak(f"{where}.acr", "the levels of authentication that are accepted, in production")
        if (one.key_id is not None) != (one.client_authentication == "private_key_jwt"):
            raise _weak(f"{where}.key_id", "the kid of a private_key_jwt, and of nothing else")


def is_safe_address(url: str) -> bool:
    """Whether an address is https, or http on this very machine; without user, fragment or odd characters."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    if not sound or "@" in parts.netloc or "#" in url or not url.isascii() or any(one <= " " for one in url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, whatever a resolver says: by its address only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _weak(setting: str, reason: str) -> SettingsError:
    return SettingsError(setting=setting, reason=reason)
