"""What the KMS signs as the authority of SSH certificates, and all that it refuses under that purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.ssh import ED25519, CertificateBody, PublicKey, string
from hygie.keys.errors import CertificateRefusedError
from hygie.keys.ssh_authority import PURPOSE, check_signable, forced_command
from tests.unit.keys.test_file_kms import make_state, opened

NOW_S = 1_800_000_000
PUBLIC = b"a" * 32
BODY = CertificateBody(
    key=PublicKey(ED25519, string(b"p" * 32)),
    nonce=b"n" * 32,
    serial=7,
    key_id="INT-0042",
    principals=("paul",),
    valid_after_s=NOW_S,
    valid_before_s=NOW_S + 3_600,
    critical={"force-command": forced_command("INT-0042", NOW_S + 3_600)},
    authority=PUBLIC,
    extensions=("permit-pty",),
)
REFUSED = {
    "format": b"hygie checkpoint",
    "kind": replace(BODY, kind=2),
    "authority": replace(BODY, authority=b"b" * 32),
    "nonce": replace(BODY, nonce=b""),
    "key id": replace(BODY, key_id="paul"),
    "key id;": replace(BODY, key_id="INT-1; rm -rf /"),
    "principals": replace(BODY, principals=("paul", "anne")),
    "principals none": replace(BODY, principals=()),
    "principals root": replace(BODY, principals=("root",)),
    "life": replace(BODY, valid_after_s=NOW_S - 1),
    "life for ever": replace(BODY, valid_before_s=2**64 - 1),
    "life backwards": replace(BODY, valid_after_s=NOW_S + 3_601),
    "window": replace(BODY, valid_after_s=NOW_S + 1, valid_before_s=NOW_S + 3_601),
    "window past": replace(BODY, valid_after_s=NOW_S - 61, valid_before_s=NOW_S + 10),
    "options": replace(BODY, critical={**BODY.critical, "verify-required": ""}),
    "recording": replace(BODY, critical={}),
    "recording other": replace(BODY, critical={"force-command": "/bin/sh"}),
    "recording later": replace(BODY, critical={"force-command": forced_command("INT-0042", NOW_S + 9_999)}),
    "addresses": replace(BODY, critical={**BODY.critical, "source-address": "*"}),
    "extensions": replace(BODY, extensions=("permit-pty", "permit-port-forwarding")),
}


def test_the_certificate_of_an_hour_is_signed() -> None:
    check_signable(BODY.encoded(), authority=PUBLIC, now_s=NOW_S)
    check_signable(replace(BODY, extensions=()).encoded(), authority=PUBLIC, now_s=NOW_S)


@pytest.mark.parametrize("why", sorted(REFUSED))
def test_nothing_else_is(why: str) -> None:
    wrong = REFUSED[why]
    message = wrong if isinstance(wrong, bytes) else wrong.encoded()
    with pytest.raises(CertificateRefusedError) as refused:
        check_signable(message, authority=PUBLIC, now_s=NOW_S)
    assert why.startswith(str(refused.value.facts["reason"]))


def test_the_process_with_the_key_holds_to_it(tmp_path: Path) -> None:
    make_state(tmp_path / "state")
    kms = opened(tmp_path / "state")
    public, now_s = kms.public_key(PURPOSE), kms._clock.now_ms() // 1000
    end_s = now_s + 600
    good = replace(BODY, authority=public, valid_after_s=now_s, valid_before_s=end_s,
                   critical={"force-command": forced_command("INT-0042", end_s)})  # fmt: skip
    signature = kms.sign(PURPOSE, good.encoded())
    Ed25519PublicKey.from_public_bytes(public).verify(signature, good.encoded())
    for message in (b"x", replace(good, valid_before_s=now_s + 7_200).encoded(), BODY.encoded()):
        with pytest.raises(CertificateRefusedError):
            kms.sign(PURPOSE, message)
    kms.close()
