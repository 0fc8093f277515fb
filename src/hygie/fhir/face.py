"""The FHIR R4 face: an ASGI application at ``/{tenant}/{environment}/fhir``.

It translates names and never decides a right: every request goes to the gate for a permit, then to the vault with it.
Paths are split by hand and every answer leaves through one function: docs/adr/0007-plain-asgi-face.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from hygie.base.errors import HygieError, Language
from hygie.base.language import language_asked
from hygie.base.turns import Turns
from hygie.fhir.answers import Answer, Send, refusal, send_answer
from hygie.fhir.binary import Binaries
from hygie.fhir.bundles import Bundles
from hygie.fhir.capability import capability_statement
from hygie.fhir.doors import GateDoor, VaultDoor
from hygie.fhir.face_errors import ClientGoneError, MethodNotAllowedError, NoSuchRouteError, incident
from hygie.fhir.interactions import Interactions
from hygie.fhir.requests import FHIR_ID, BodyReader, Call, Receive, accepts_gzip, check_accept, make_call
from hygie.fhir.searches import Searches
from hygie.fhir.structures import resource_types

Handler = Callable[[Call], Awaitable[Answer]]
Methods = dict[str, Handler]

ROUTE_KEY = "hygie.route"  # what the server's access log may print of a path
VERSION_DIGITS_MAX = 10
VERSION_MAX = (1 << 31) - 1  # what the catalogue counts to
GZIP_LEVEL = 1  # FHIR JSON shrinks six-fold already; higher levels cost more than they save


class Face:
    """The ASGI application.

    Args: gate, vault: the doors; public_url: scheme and authority clients use (``https://fhir.example``), else the
    request's Host; version: of Hygie, for the CapabilityStatement; turns: how environments share the process.
    """

    def __init__(
        self,
        gate: GateDoor,
        vault: VaultDoor,
        *,
        public_url: str = "",
        version: str = "",
        turns: Turns | None = None,
    ) -> None:
        self._public_url = public_url.rstrip("/")
        self._version = version
        bodies = BodyReader()
        interactions = self._interactions = Interactions(gate, vault, bodies, turns or Turns())
        searches = Searches(interactions)
        binaries = Binaries(interactions)
        bundles = Bundles(interactions, self.find)
        self._types = resource_types()
        self._metadata: Methods = {"GET": self._capability, "HEAD": self._capability}
        self._system: Methods = {"POST": bundles.submit}
        self._system_history: Methods = {"GET": searches.system_history}
        self._type: Methods = {
            "GET": searches.search, "HEAD": searches.search, "POST": interactions.create,
            "PUT": interactions.conditional_update, "DELETE": interactions.conditional_delete,
        }  # fmt: skip
        self._binary_type: Methods = {**self._type, "POST": binaries.create}
        self._instance: Methods = {
            "GET": interactions.read, "HEAD": interactions.read,
            "PUT": interactions.update, "DELETE": interactions.delete,
        }  # fmt: skip
        self._binary: Methods = {
            **self._instance, "GET": binaries.read, "HEAD": binaries.read, "PUT": binaries.update,
        }  # fmt: skip
        self._below_type: dict[str, Methods] = {
            "_search": {"POST": searches.search_by_post}, "_history": {"GET": searches.type_history},
        }  # fmt: skip
        self._instance_history: Methods = {"GET": searches.instance_history}
        self._version_read: Methods = {"GET": interactions.vread, "HEAD": interactions.vread}
        self._binary_version: Methods = {"GET": binaries.read, "HEAD": binaries.read}
        self._everything: Methods = {"GET": searches.everything}
        self._compartment: Methods = {"GET": searches.compartment_search}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, to its answer. Nothing is raised but what the connection itself breaks."""
        call = make_call(scope, receive, self._public_url)
        try:
            answer = await self._answer(call, scope)
        except HygieError as error:
            answer = refusal(await self._interactions.record_refusal(call, error), _language(call))
        except ClientGoneError:
            return
        except Exception as error:  # the last line: told to nobody, logged without what it may hold
            answer = refusal(incident(error), _language(call))
        finally:
            call.end()  # what is left is the client's to take, at its own pace
        await self._send(call, answer, send)

    async def _answer(self, call: Call, scope: MutableMapping[str, Any]) -> Answer:
        parts = scope["path"].split("/")
        if len(parts) < 4 or parts[3] != "fhir":
            raise NoSuchRouteError()
        call.tenant, call.environment = parts[1], parts[2]
        call.base = f"{call.base}/{parts[1]}/{parts[2]}/fhir"
        handler, scope[ROUTE_KEY] = self._route(call, parts[4:])
        if call.method == "OPTIONS":
            return Answer(204, headers=[(b"allow", self._allowed(call, parts[4:]).encode())])
        if handler is None:
            raise MethodNotAllowedError(allow=self._allowed(call, parts[4:]))
        if call.type != "Binary":
            check_accept(call)
        return await handler(call)

    # -- routes ---------------------------------------------------------------------------------------------------

    def find(self, call: Call, path: str) -> Handler:
        """The handler of a batch entry's ``request.url``, without its query.

        Raises: NoSuchRouteError; MethodNotAllowedError.
        """
        parts = path.split("/")
        handler, _ = self._route(call, parts)
        if handler is None:
            raise MethodNotAllowedError(allow=self._allowed(call, parts))
        return handler

    def _route(self, call: Call, parts: list[str]) -> tuple[Handler | None, str]:
        methods, label = self._methods(call, parts)
        return methods.get(call.method), label

    def _allowed(self, call: Call, parts: list[str]) -> str:
        return ", ".join(sorted({*self._methods(call, parts)[0], "OPTIONS"}))

    def _methods(self, call: Call, parts: list[str]) -> tuple[Methods, str]:
        """What can be done at a path, and how the access log names it; fills type, id and version."""
        if parts and not parts[-1]:
            parts = parts[:-1]
        if not parts:
            return self._system, "/"
        type_ = parts[0]
        if type_ not in self._types:
            return self._system_path(parts)
        call.type = type_
        if len(parts) == 1:
            return (self._binary_type if type_ == "Binary" else self._type), type_
        name = parts[1]
        if len(parts) == 2 and name in self._below_type:
            return self._below_type[name], f"{type_}/{name}"
        if not FHIR_ID.fullmatch(name):
            raise NoSuchRouteError()
        call.id = name
        if len(parts) == 2:
            return (self._binary if type_ == "Binary" else self._instance), f"{type_}/{{id}}"
        return self._below_instance(call, parts)

    def _system_path(self, parts: list[str]) -> tuple[Methods, str]:
        if parts == ["metadata"]:
            return self._metadata, "metadata"
        if parts == ["_history"]:
            return self._system_history, "_history"
        raise NoSuchRouteError()

    def _below_instance(self, call: Call, parts: list[str]) -> tuple[Methods, str]:
        type_, below = call.type, parts[2]
        if below == "_history" and len(parts) == 3:
            return self._instance_history, f"{type_}/{{id}}/_history"
        if below == "_history" and len(parts) == 4:
            if not (parts[3].isascii() and parts[3].isdigit()) or len(parts[3]) > VERSION_DIGITS_MAX:
                raise NoSuchRouteError()
            call.version = int(parts[3])
            if call.version > VERSION_MAX:
                raise NoSuchRouteError()
            methods = self._binary_version if type_ == "Binary" else self._version_read
            return methods, f"{type_}/{{id}}/_history/{{version}}"
        if type_ == "Patient" and len(parts) == 3:
            if below == "$everything":
                return self._everything, "Patient/{id}/$everything"
            if below in self._types:
                call.type = below
                return self._compartment, f"Patient/{{id}}/{below}"
        raise NoSuchRouteError()

    async def _capability(self, call: Call) -> Answer:
        return Answer(200, capability_statement(call.base, self._version))

    # -- ways out -------------------------------------------------------------------------------------------------

    async def _send(self, call: Call, answer: Answer, send: Send) -> None:
        if answer.body and "_pretty=true" in call.query and answer.kind.startswith(b"application/fhir+json"):
            answer.body = msgspec.json.format(answer.body, indent=2)
        gzip_level = GZIP_LEVEL if accepts_gzip(call.headers.get(b"accept-encoding", b"")) else 0
        await send_answer(send, call.receive, answer, base=call.base, gzip_level=gzip_level, head=call.method == "HEAD")


def _language(call: Call) -> Language:
    return language_asked(call.headers.get(b"accept-language", b""))
