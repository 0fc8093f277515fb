"""What the file KMS tells of its state: counts, dates and public keys; no key."""

from __future__ import annotations

from hygie.keys.file_state import OpenState
from hygie.keys.kms import EnvironmentStatus, EpochStatus, SigningKeyStatus


def environments_of(state: OpenState) -> list[EnvironmentStatus]:
    """Every environment, tenant by tenant."""
    found = []
    for tenant_id in state.tenant_ids():
        for record in state.tenant(tenant_id).body.environments:
            epochs: list[EpochStatus] = []
            destroyed = 0
            if record.destroyed_at_ms is None:
                body = state.environment(tenant_id, record.environment_id).body
                epochs = [EpochStatus(epoch.epoch, epoch.created_at_ms, epoch.wraps) for epoch in body.epochs]
                destroyed = body.epochs_destroyed
            found.append(
                EnvironmentStatus(
                    tenant_id=tenant_id,
                    environment_id=record.environment_id,
                    key_at_ms=record.key_at_ms,
                    epochs=epochs,
                    epochs_destroyed=destroyed,
                    destroyed=record.destroyed_at_ms is not None,
                )
            )
    return found


def signing_keys_of(state: OpenState) -> list[SigningKeyStatus]:
    """Every signing key, retired ones included."""
    return [SigningKeyStatus(key.purpose, key.public, key.from_ms, key.until_ms) for key in state.body.signing]
