"""The OpenAPI document: routes from FastAPI, shapes from `wire`, and the parts that only we know."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from baken.web import wire
from baken.web.errors import Error

_REF = "#/components/schemas/{name}"
_ALWAYS = (401, 403, 500, 503)
_SHAPES = (
    Error,
    wire.Screening,
    wire.ItemMeta,
    wire.LookupRequest,
    wire.LookupAnswers,
    wire.NewBank,
    wire.BankChange,
    wire.Bank,
    wire.BankPage,
    wire.Change,
    wire.OptionalChange,
    wire.NewEntries,
    wire.EntryIds,
    wire.Entry,
    wire.EntryPage,
    wire.EntryWithdrawal,
    wire.Withdrawn,
    wire.Notice,
    wire.NoticePage,
    wire.Case,
    wire.CasePage,
    wire.CaseItemPage,
    wire.CaseEventPage,
    wire.Action,
    wire.ActionPage,
    wire.ActionDone,
    wire.SeenStats,
    wire.SeenItemPage,
    wire.SeenClusterPage,
    wire.Forgetting,
    wire.Forgotten,
    wire.Status,
)
_PDQ = "f8f8f0cce0f4e84d0e370a22028f67f0b36e2ed596623e1d33e6339c4e9c9b22"
_PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_CREATE_SCREENING = """\
Send the picture as the body with metadata in the query, or a form with `file` and `meta` (JSON). Nothing of the picture
is kept but its fingerprints. With an `Idempotency-Key` a repeated request gets the first answer, with status 200 and
the header `Idempotency-Replayed: true`; the same key with another picture or other metadata is a
conflict. Scope: `screen`.
"""
_EXAMPLES: dict[str, Any] = {
    "LookupRequest": {"fingerprints": [{"kind": "pdq", "value": _PDQ}]},
    "NewBank": {"name": "hotline-2026", "purpose": "known_abuse", "reason": "contract 17"},
    "NewEntries": {
        "provenance": {"source": "hotline", "note": "list of 2026-11-01"},
        "entries": [{"fingerprints": [{"kind": "pdq", "value": _PDQ, "quality_percent": 100}], "label": "17/3"}],
    },
    "BankChange": {"radius_bits": 24, "flood_accounts_per_hour": 250, "reason": "fewer false matches"},
    "Change": {"reason": "under review"},
    "ActionDone": {"state": "done"},
    "OptionalChange": {"reason": "review done"},
    "EntryWithdrawal": {"entry_ids": [1, 2], "reason": "the source withdrew them"},
    "Forgetting": {"account_ref": "account-17"},
    "ItemMeta": {"item_ref": "upload-4711", "visibility": "public"},
    "Error": {
        "error": {
            "code": "invalid_value",
            "message": "fingerprints[0].value: pdq value is 'f8', expected 64 hexadecimal digits",
            "hint": "Check that the kind fits the value and that nothing was cut off.",
            "request_id": "req_5b0f4a8c2d1e4f60",
            "fields": ["fingerprints[0].value"],
        }
    },
}


def document(
    answers: type[msgspec.Struct],
    status: int = 200,
    *,
    takes: type[msgspec.Struct] | None = None,
    takes_picture: bool = False,
    also: Sequence[int] = (),
) -> dict[str, Any]:
    """Arguments of `add_api_route` that document what a route takes and answers.

    Args:
        answers: the shape of a success.
        status: its status.
        takes: the shape of a JSON body, if the route takes one.
        takes_picture: whether it takes the bytes of a file.
        also: further statuses that the route answers, 400 and above with an error.
    """
    statuses = {*_ALWAYS, 422, *also, *((408, 413, 415) if takes is not None or takes_picture else ())}
    responses: dict[int | str, dict[str, Any]] = {
        each: _error(each) if each >= HTTPStatus.BAD_REQUEST else _success(answers, each) for each in sorted(statuses)
    }
    responses[status] = _success(answers, status)
    extra: dict[str, Any] = {"responses": responses, "response_model": None}
    if takes is not None:
        extra["openapi_extra"] = {"requestBody": {"required": True, "content": _json(takes.__name__)}}
    if takes_picture:
        content = {"image/*": _PICTURE, "video/*": _PICTURE, "application/octet-stream": _PICTURE}
        extra["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    if status != HTTPStatus.OK:
        extra["status_code"] = status
    return extra


def build(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    spec = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = spec.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, shapes = msgspec.json.schema_components(_SHAPES, ref_template=_REF)
    for name, shape in shapes.items():
        schemas[name] = {**shape, "example": _EXAMPLES[name]} if name in _EXAMPLES else shape
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "`baken key create`"}}
    spec["security"] = [{"key": []}]
    spec["paths"]["/v1/lookups"] = {"post": _lookups()}
    spec["paths"]["/v1/screenings"] = {"post": _create_screening()}
    for path in ("/healthz", "/readyz"):
        spec["paths"][path]["get"]["security"] = []
    return spec


def _lookups() -> dict[str, Any]:
    return {
        "tags": ["lookups"],
        "summary": "Look up fingerprints",
        "operationId": "lookups",
        "description": "What is known about each fingerprint, in the order asked; recorded nowhere. Scope: `lookup`.",
        "requestBody": {"required": True, "content": _json("LookupRequest")},
        "responses": {"200": _success(wire.LookupAnswers, 200), **_errors(408, 413, 415, 422)},
    }


def _create_screening() -> dict[str, Any]:
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": _PICTURE["schema"], "meta": {"$ref": _REF.format(name="ItemMeta")}},
    }
    again = {**_success(wire.Screening, 200), "description": "The first answer to this Idempotency-Key, again"}
    return {
        "tags": ["screenings"],
        "summary": "Screen one picture",
        "operationId": "create_screening",
        "description": _CREATE_SCREENING,
        "parameters": _screening_parameters(),
        "requestBody": {
            "required": True,
            "content": {
                "image/*": _PICTURE,
                "video/*": _PICTURE,
                "application/octet-stream": _PICTURE,
                "multipart/form-data": {"schema": form, "encoding": {"meta": {"contentType": "application/json"}}},
            },
        },
        "responses": {"200": again, "201": _success(wire.Screening, 201), **_errors(408, 409, 413, 415, 422)},
    }


def _screening_parameters() -> list[dict[str, Any]]:
    (_, shapes) = msgspec.json.schema_components([wire.ItemMeta], ref_template=_REF)
    fields = shapes["ItemMeta"]["properties"]
    token = {"type": "string", "minLength": 1, "maxLength": 255}
    asked = [{"in": "query", "name": name, "schema": schema, "required": False} for name, schema in fields.items()]
    return [*asked, {"in": "header", "name": "Idempotency-Key", "schema": token, "required": False}]


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): _error(status) for status in sorted({*_ALWAYS, *statuses})}


def _success(answers: type[msgspec.Struct], status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": _json(answers.__name__)}


def _error(status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": _json("Error")}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}
