"""The platform itself as a place: where the host's own roles are held, and what belongs to no environment happens."""

from __future__ import annotations

from hygie.base.permit import Place
from hygie.journal.entry import PLATFORM

HOST_TENANT, HOST_PLACE = "hygie", "platform"  # its names where a client's and an environment's would be
EVERYWHERE = Place(PLATFORM, PLATFORM, "")
