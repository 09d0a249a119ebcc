"""The own routes under /api: which there are, who may use them, what they take and give.

The annotate page lives on the first of them; the rest is for scripts. docs/api.md describes them
for people, /api/openapi.json for programs; both follow this table.
"""

from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from domain.members import Role
from ui.annotating import Annotating
from ui.endpoint import Call, Endpoint, Reply
from ui.lists import MEDIA_TYPES, Lists
from ui.openapi import describe
from ui.serving import Gate, Threads
from ui.wire import (
    AnswersMessage,
    AnswersReply,
    GridsReply,
    HealthReply,
    PairsMessage,
    PairsReply,
    SessionReply,
    TokenMessage,
)
from ui.wire_flags import FlagsMessage, FlagsReply
from ui.wire_lists import (
    ExportQuery,
    ImagesQuery,
    ImagesReply,
    KnownPairsReply,
    KnownQuery,
    LabelsQuery,
    LabelsReply,
    PictureQuery,
    RelationReply,
    RoundsQuery,
    RoundsReply,
    StatusReply,
)


def api_routes() -> list[BaseRoute]:
    """The own routes, for `st.App(routes=…)`."""
    threads = Threads()
    return Gate(threads).routes(endpoints(threads))


def endpoints(threads: Threads) -> list[Endpoint]:
    """All endpoints, in the order in which they are described."""
    described: list[Endpoint] = []
    annotating, lists = Annotating(threads), Lists(threads)

    async def describe_all(_: Call) -> Reply:
        return JSONResponse(describe(described))

    described += [
        *_sessions(annotating),
        *_questions(annotating),
        *_lists(lists),
        *_answered(lists),
        Endpoint(
            "GET",
            "/api/openapi.json",
            "describe_routes",
            "Get this description.",
            describe_all,
            role=None,
            reply=("application/json",),
        ),
    ]
    return described


def _sessions(api: Annotating) -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/api/session",
            "get_session",
            "See as whom a request acts.",
            api.who,
            role=Role.ANNOTATOR,
            reply=SessionReply,
        ),
        Endpoint(
            "POST",
            "/api/session",
            "open_session",
            "Exchange the page's signed token for a cookie.",
            api.open_session,
            role=None,
            own_page=True,
            body=TokenMessage,
            status=HTTPStatus.NO_CONTENT,
        ),
        Endpoint(
            "POST",
            "/api/session/end",
            "end_session",
            "Take the page's cookie back, when somebody signs out.",
            api.end_session,
            role=None,
            own_page=True,
            status=HTTPStatus.NO_CONTENT,
        ),
    ]


def _questions(api: Annotating) -> list[Endpoint]:
    return [
        Endpoint(
            "POST",
            "/api/pairs",
            "next_pairs",
            "Get further pairs to answer, leased for a quarter of an hour.",
            api.pairs,
            role=Role.ANNOTATOR,
            body=PairsMessage,
            reply=PairsReply,
        ),
        Endpoint(
            "POST",
            "/api/grids",
            "next_grids",
            "Get further pairs to answer, those about one image together.",
            api.grids,
            role=Role.ANNOTATOR,
            body=PairsMessage,
            reply=GridsReply,
        ),
        Endpoint(
            "POST",
            "/api/answers",
            "store_answers",
            "Store answers durably; one sent again with its key is stored once.",
            api.answers,
            role=Role.ANNOTATOR,
            body=AnswersMessage,
            reply=AnswersReply,
        ),
        Endpoint(
            "POST",
            "/api/flags",
            "store_flags",
            "Point out what is odd with a question or an image, with a note; or take that back.",
            api.flags,
            role=Role.ANNOTATOR,
            body=FlagsMessage,
            reply=FlagsReply,
        ),
        Endpoint(
            "GET",
            "/api/images/{image_id}",
            "get_picture",
            "Get a picture, upright, as JPEG.",
            api.image,
            role=Role.ANNOTATOR,
            query=PictureQuery,
            reply=("image/jpeg",),
        ),
    ]


def _lists(api: Lists) -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/api/status",
            "get_status",
            "See how far the project is.",
            api.status,
            role=Role.ANNOTATOR,
            reply=StatusReply,
        ),
        Endpoint(
            "GET",
            "/api/rounds",
            "list_rounds",
            "List the rounds with the models trained at their ends.",
            api.rounds,
            role=Role.LEAD,
            query=RoundsQuery,
            reply=RoundsReply,
        ),
        Endpoint(
            "GET",
            "/api/images",
            "list_images",
            "List the images of the archive.",
            api.images,
            role=Role.LEAD,
            query=ImagesQuery,
            reply=ImagesReply,
        ),
    ]


def _answered(api: Lists) -> list[Endpoint]:
    return [
        Endpoint(
            "GET",
            "/api/labels",
            "list_labels",
            "List the current labels of answered pairs.",
            api.labels,
            role=Role.LEAD,
            query=LabelsQuery,
            reply=LabelsReply,
        ),
        Endpoint(
            "GET",
            "/api/known",
            "list_known_pairs",
            "List known relations, implied ones too.",
            api.known,
            role=Role.LEAD,
            query=KnownQuery,
            reply=KnownPairsReply,
        ),
        Endpoint(
            "GET",
            "/api/known/{first}/{second}",
            "get_relation",
            "See what the answers say of two images, and why.",
            api.relation,
            role=Role.LEAD,
            reply=RelationReply,
        ),
        Endpoint(
            "GET",
            "/api/export",
            "export",
            "Export answers, labels, known relations or flags as a file.",
            api.export,
            role=Role.LEAD,
            query=ExportQuery,
            reply=tuple(MEDIA_TYPES.values()),
        ),
        Endpoint(
            "GET",
            "/api/health",
            "get_health",
            "See whether the app can serve its project.",
            api.health,
            role=None,
            reply=HealthReply,
        ),
    ]
