"""The OpenAPI 3.1 description of the routes, made from their table and their models."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic.json_schema import models_json_schema

from ui.endpoint import Endpoint
from ui.wire import ErrorReply, Message

API_VERSION = "1"
_COMPONENT = "#/components/schemas/{model}"
_JSON = "application/json"
_ABOUT = (
    "What the annotate page and scripts use. A script sends a token made with "
    '"python cli.py token create" as "Authorization: Bearer …". Errors are JSON with a message and '
    "a hint. docs/api.md has an example."
)
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of a member."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "anneal_<project>",
        "description": "The page's own; writes with it also need the app's address as Origin.",
    },
}

Json = dict[str, Any]


def describe(endpoints: Sequence[Endpoint]) -> Json:
    """The description of the endpoints, as a JSON object."""
    queries = {each.query for each in endpoints if each.query}
    _, found = models_json_schema(_used(endpoints), ref_template=_COMPONENT)
    schemas: Json = found["$defs"]
    parameters = {query: schemas.pop(query.__name__) for query in queries}
    paths: dict[str, Json] = {}
    for each in endpoints:
        operation = _operation(each, parameters.get(each.query) if each.query else None)
        paths.setdefault(each.path, {})[each.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Anneal", "version": API_VERSION, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SCHEMES},
    }


Used = tuple[type[Message], Literal["validation", "serialization"]]


def _used(endpoints: Sequence[Endpoint]) -> list[Used]:
    used: list[Used] = [(ErrorReply, "serialization")]
    for each in endpoints:
        used += [(model, "validation") for model in (each.query, each.body) if model]
        if isinstance(each.reply, type):
            used.append((each.reply, "serialization"))
    return used


def _operation(endpoint: Endpoint, query: Json | None) -> Json:
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": _who_may(endpoint),
        "security": [{"bearer": []}, {"session": []}] if endpoint.role else [],
        "responses": _responses(endpoint),
    }
    parameters = [*_ids(endpoint), *_parameters(query)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body:
        content = {_JSON: {"schema": _reference(endpoint.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _who_may(endpoint: Endpoint) -> str:
    if endpoint.role:
        return f"Needs the role {endpoint.role.value} or a higher one."
    return "For the app's own page only." if endpoint.own_page else "Open to everybody."


def _ids(endpoint: Endpoint) -> list[Json]:
    schema = {"type": "integer", "minimum": 0, "description": "The id of an image."}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]


def _parameters(query: Json | None) -> list[Json]:
    if query is None:
        return []
    needed = query.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": schema}
        for name, schema in query["properties"].items()
    ]


def _responses(endpoint: Endpoint) -> Json:
    good: Json = {"description": endpoint.status.phrase}
    if isinstance(endpoint.reply, type):
        good["content"] = {_JSON: {"schema": _reference(endpoint.reply)}}
    elif endpoint.reply:
        good["content"] = {each.split(";")[0]: {} for each in endpoint.reply}
    responses = {str(endpoint.status.value): good}
    for status in _refusals(endpoint):
        content = {_JSON: {"schema": _reference(ErrorReply)}}
        responses[str(status.value)] = {"description": status.phrase, "content": content}
    return responses


def _refusals(endpoint: Endpoint) -> list[HTTPStatus]:
    found = [HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE]
    if endpoint.role or endpoint.own_page:
        found.append(HTTPStatus.UNAUTHORIZED)
    if endpoint.role:
        found.append(HTTPStatus.TOO_MANY_REQUESTS)
    if endpoint.query or endpoint.body or "{" in endpoint.path:
        found.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    if endpoint.body:
        found += [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE]
    if endpoint.writes and endpoint.role:
        found.append(HTTPStatus.INSUFFICIENT_STORAGE)
    if "{" in endpoint.path:
        found += [HTTPStatus.NOT_FOUND, HTTPStatus.GONE]
    return sorted(found)


def _reference(model: type[Message]) -> Json:
    return {"$ref": _COMPONENT.format(model=model.__name__)}
