-- A security key's credential id is one person's, whatever public key stands beside it: a sign-in names the id alone
-- (WebAuthn level 2, 7.1 step 22). In a credential, the id's length is in bytes 16 and 17, and the id follows.
CREATE UNIQUE INDEX authenticator_credential ON hygie.authenticator
    ((CASE WHEN octet_length(value) > 18
        THEN sha256(substring(value FROM 19 FOR get_byte(value, 16) * 256 + get_byte(value, 17))) END))
    WHERE revoked_ms IS NULL AND kind = 'webauthn';
