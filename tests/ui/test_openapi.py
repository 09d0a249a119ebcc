"""The description of the routes says what they do: checked against their real replies."""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from domain.members import Role
from tests.ui.client import Client, an_answer
from ui.routes import api_routes

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")

Script = Callable[..., Client]


@pytest.fixture
def described(stranger: Client) -> dict[str, Any]:
    found: dict[str, Any] = stranger.get("/api/openapi.json").json()
    return found


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def fits(described: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": described["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def reply_schema(described: dict[str, Any], method: str, path: str, status: int) -> dict[str, Any]:
    response = described["paths"][path][method]["responses"][str(status)]
    found: dict[str, Any] = response["content"]["application/json"]["schema"]
    return found


def test_every_served_route_is_described_and_no_other(described: dict[str, Any]) -> None:
    served = {
        (method.lower(), route.path.replace(":int", ""))
        for route in api_routes()
        if isinstance(route, Route) and "{rest:path}" not in route.path
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert set(operations(described)) == served


def test_every_schema_is_one_and_every_reference_leads_somewhere(
    described: dict[str, Any],
) -> None:
    assert described["openapi"].startswith("3.1.")
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for operation in operations(described).values():
        for parameter in operation.get("parameters", []):
            jsonschema.Draft202012Validator.check_schema(parameter["schema"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert references <= set(described["components"]["schemas"])
    assert len(references) > 20


def test_operations_have_names_of_their_own_and_say_who_may(described: dict[str, Any]) -> None:
    found = operations(described)
    assert len({each["operationId"] for each in found.values()}) == len(found)
    for (_, path), operation in found.items():
        assert operation["summary"].endswith(".")
        named = re.findall(r"{(\w+)}", path)
        in_path = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
        assert in_path == named
        closed = "Needs the role" in operation["description"]
        assert bool(operation["security"]) is closed
        assert ("401" in operation["responses"]) >= closed


def test_every_route_is_in_the_document_for_people_with_its_role(
    described: dict[str, Any],
) -> None:
    for (method, path), operation in operations(described).items():
        (row,) = re.findall(rf"^\| `{method.upper()} {re.escape(path)}` \| (.*)$", DOCUMENT, re.M)
        role = re.findall(r"the role (\w+)", operation["description"])
        assert row.startswith(
            role[0]
            if role
            else ("open" if "Open" in operation["description"] else "the app's own page")
        )
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and parameter["name"] != "v":
                assert f"`{parameter['name']}`" in row, (path, parameter["name"])


@pytest.mark.parametrize(
    "path",
    [
        "/api/session",
        "/api/status",
        "/api/rounds",
        "/api/images",
        "/api/labels",
        "/api/known",
        "/api/known/{first}/{second}",
        "/api/health",
    ],
)
def test_replies_fit_their_description(
    described: dict[str, Any], script: Script, path: str
) -> None:
    client = script(Role.OWNER)
    (asked,) = client.post("/api/pairs", json={"count": 1}).json()["pairs"]
    client.post("/api/answers", json={"answers": [an_answer(asked, str(uuid.uuid4()))]})
    reply = client.get(path.format(first=asked["a"], second=asked["b"])).json()
    fits(described, reply_schema(described, "get", path, 200), reply)
    with pytest.raises(jsonschema.ValidationError):
        fits(described, reply_schema(described, "get", path, 200), {**reply, "more": 1})


def test_the_annotators_loop_fits_its_description(
    described: dict[str, Any], script: Script
) -> None:
    client = script()
    pairs = client.post("/api/pairs", json={"count": 1}).json()
    fits(described, reply_schema(described, "post", "/api/pairs", 200), pairs)
    body = {"answers": [an_answer(pairs["pairs"][0], "described-1")]}
    request = described["paths"]["/api/answers"]["post"]["requestBody"]
    fits(described, request["content"]["application/json"]["schema"], body)
    reply = client.post("/api/answers", json=body).json()
    fits(described, reply_schema(described, "post", "/api/answers", 200), reply)


def test_refusals_fit_their_description(
    described: dict[str, Any], stranger: Client, script: Script
) -> None:
    client = script()
    for reply, path, method in [
        (stranger.get("/api/labels"), "/api/labels", "get"),
        (client.get("/api/labels"), "/api/labels", "get"),
        (client.get("/api/images/999999"), "/api/images/{image_id}", "get"),
        (client.get("/api/images/1?size=3"), "/api/images/{image_id}", "get"),
        (client.post("/api/pairs", content="x"), "/api/pairs", "post"),
        (client.post("/api/pairs", json={}), "/api/pairs", "post"),
    ]:
        assert reply.status_code >= 400
        schema = reply_schema(described, method, path, reply.status_code)
        fits(described, schema, reply.json())
