"""One event as an object of OCSF 1.7.0 (https://schema.ocsf.io/1.7.0), by its required attributes. Pure.

What has no attribute there is under ``unmapped``, by its own name.  Source: docs/formats/soc-export.md.
"""

from __future__ import annotations

from typing import Any, Final

from hygie import __version__
from hygie.watch.events import CHECK, JOURNAL, Event
from hygie.watch.syslog import instant, summary

VERSION = "1.7.0"
BASE, COMPLIANCE, DETECTION, ACCOUNT, AUTHENTICATION, API = 0, 2003, 2004, 3001, 3002, 6003
OTHER = 99

_AUTHENTICATION: Final = {
    "session:open": 1,
    "session:refused": 1,
    "person:prove": 1,
    "session:close": 2,
}
_ACCOUNT: Final = {
    "account:create": 1,
    "account:recover": 4,
    "account:disable": 5,
    "habilitation:grant": 7,
    "habilitation:revoke": 8,
    "person:lock": 9,
    "authenticator:create": 10,
    "authenticator:revoke": 11,
}
_VERBS: Final = {
    1: ("create", "add", "plant", "open", "grant", "ask", "import", "record"),
    2: ("read", "search", "history", "export", "copy"),
    3: ("update", "set", "write", "rotate", "handle"),
    4: ("delete", "erase", "remove", "revoke", "destroy", "withdraw"),
}
_ACTIVITY: Final = {verb: number for number, verbs in _VERBS.items() for verb in verbs}
_FINDING_ACTIVITY: Final = {"finding:open": 1, "finding:handle": 2, "finding:tell": 2}
_SEVERITY: Final = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_OUTCOME: Final = {"done": (1, "Success"), "refused": (2, "Failure")}
_VERDICT: Final = {"satisfied": 1, "unknown": 2, "unsatisfied": 3}
_MAPPED = frozenset({"source", "account", "address", "outcome", "title", "hour", "weekday"})


def as_ocsf(event: Event, *, origin: str) -> dict[str, Any]:
    """The object. Args: origin: the journal's name; ``metadata.uid`` tells an event that came twice."""
    class_uid, activity, more = _body(event)
    known = {key: value for key, value in event.fields.items() if key not in _MAPPED}
    return {
        "activity_id": activity,
        "category_uid": class_uid // 1_000,
        "class_uid": class_uid,
        "type_uid": class_uid * 100 + activity,
        "time": event.at_ms,
        "severity_id": _severity(event),
        "message": summary(event),
        "metadata": {
            "version": VERSION,
            "product": {"name": "Hygie", "vendor_name": "Hygie", "version": __version__},
            "log_name": event.source,
            "log_provider": origin,
            "sequence": event.rank,
            "uid": f"{origin}/{event.source}/{event.rank}",
            "original_time": instant(event.at_ms),
            "event_code": summary(event).partition(" ")[0],
        },
        **more,
        "unmapped": known,
    }


def _body(event: Event) -> tuple[int, int, dict[str, Any]]:
    """(class, activity, attributes of the class)."""
    fields = event.fields
    if event.source == CHECK:
        compliance = {
            "standards": ["HDS"],
            "control": fields["check"],
            "status_id": _VERDICT.get(str(fields["verdict"]), OTHER),
            "status": fields["verdict"],
        }
        told = {"uid": fields["check"], "title": summary(event)}
        return COMPLIANCE, 1, {"compliance": compliance, "finding_info": told}
    if event.source != JOURNAL:
        return BASE, OTHER, {"activity_name": event.source}
    action = str(fields["action"])
    status, said = _OUTCOME.get(str(fields["outcome"]), (OTHER, str(fields["outcome"])))
    more: dict[str, Any] = {"status_id": status, "status": said}
    if action in _FINDING_ACTIVITY:
        closed = fields.get("detail.act") == "closed"
        uid = str(fields.get("detail.finding", ""))
        told = {"uid": uid, "title": str(fields.get("title", action))}
        state = {"status_id": 4 if closed else 1 if action == "finding:open" else 2}
        return DETECTION, 3 if closed else _FINDING_ACTIVITY[action], {"finding_info": told, **state}
    user = _user(event)
    more["src_endpoint"] = {"ip": fields["address"]} if "address" in fields else {"svc_name": "hygie"}
    if action in _AUTHENTICATION:
        return AUTHENTICATION, _AUTHENTICATION[action], more | {"user": user, "service": {"name": "hygie"}}
    if action in _ACCOUNT:
        whom = fields.get("detail.account")
        target = {"uid": str(whom)} if whom else user
        return ACCOUNT, _ACCOUNT[action], more | {"user": target, "actor": {"user": user}}
    activity = _ACTIVITY.get(action.partition(":")[2], OTHER)
    name = {"activity_name": action} if activity == OTHER else {}
    return API, activity, more | name | {"actor": {"user": user}, "api": {"operation": action}}


def _user(event: Event) -> dict[str, Any]:
    account = event.fields.get("account")
    kind = {"person": 1, "application": 4}.get(str(event.fields.get("account_kind")), 0)
    return {"uid": str(account), "type_id": kind} if account else {"uid": "unknown", "type_id": 0}


def _severity(event: Event) -> int:
    fields = event.fields
    if fields.get("action") == "finding:open":
        return _SEVERITY.get(str(fields.get("detail.level")), 0)
    bad = fields.get("outcome") == "refused" or fields.get("passed") is False
    return 3 if fields.get("verdict") == "unsatisfied" else 2 if bad else 1
