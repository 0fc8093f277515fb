"""The installation serves, keeps what it acknowledged over a restart, and refuses strangers."""

from __future__ import annotations

import signal


def test_a_record_is_written_and_read_back_over_a_restart(installation) -> None:
    created = installation.fhir("POST", "Patient", {"resourceType": "Patient", "name": [{"family": "Durand"}]})
    assert created.status == 201, created.body
    id_ = created.json["id"]
    assert installation.fhir("GET", f"Patient/{id_}").json["name"] == [{"family": "Durand"}]
    installation.down(how=signal.SIGKILL)
    installation.up()
    assert installation.fhir("GET", f"Patient/{id_}").json["name"] == [{"family": "Durand"}]


def test_a_stranger_is_refused_and_a_neighbour_does_not_exist(installation) -> None:
    assert installation.fhir("GET", "Patient", token="hyg_nobody").status == 401
    assert installation.fhir("GET", "Patient", place="chu/other").status == 404
    assert installation.fhir("GET", "Patient", place="nobody/prod").status == 404
