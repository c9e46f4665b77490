"""Any other edge of Graph.

https://developers.facebook.com/docs/graph-api/reference
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from integrations.models import Json
from integrations.providers.base import Action, Call
from integrations.providers.facebook.actions.params import PageParams
from integrations.providers.facebook.api import harmless
from integrations.providers.facebook.grant import (
    Grant,
    graph_of,
    page_of,
    user_token,
)

_SEGMENT = r"[0-9A-Za-z_-](?:[0-9A-Za-z_.-]*[0-9A-Za-z_-])?"


_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)?")


# The connection's own matters: what makes tokens, changes whose call it is, or what kind it is.
_OWN_PATHS = frozenset({"oauth", "debug_token"})


_OWN_PARAMS = frozenset(
    {"access_token", "appsecret_proof", "appsecret_time", "method", "batch", "client_secret"}
)


def _graph_path(value: str) -> str:
    """Let through what stays below the host and the version, whatever a server makes of it."""
    path = value.removeprefix("/")
    if ".." in path or not _PATH.fullmatch(path):
        message = "must be names and ids with slashes between them, e.g. 1234_5678/insights"
        raise ValueError(message)
    first = path.partition("/")[0].casefold()
    if first in _OWN_PATHS or _VERSION.fullmatch(first):
        message = "must not begin with a version, with oauth or with debug_token"
        raise ValueError(message)
    return path


def _graph_params(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if own := sorted(_OWN_PARAMS & {name.casefold() for name in value}):
        message = f"must not hold {', '.join(own)}: the connection provides it"
        raise ValueError(message)
    return value


class CallParams(PageParams):
    """Parameters of ``call``."""

    method: Literal["GET", "POST", "DELETE"] = "GET"
    path: Annotated[str, Field(max_length=500), AfterValidator(_graph_path)] = Field(
        description="A node or an edge, e.g. {page-id}/insights; without host and version."
    )
    params: Annotated[dict[str, JsonValue], AfterValidator(_graph_params)] = Field(
        default={}, description="Its parameters, in Graph's own names."
    )
    act_as: Literal["page", "user"] = Field(
        default="page", description="Whose token to use: the page's, or the connection's own."
    )


def call_graph(call: Call[Grant], params: CallParams) -> Json:
    """Call any other edge of Graph; names go in and come out as Graph has them.

    Tokens and the URLs of paging are left out of the answer; ``paging`` has ``hasNext`` instead.

    https://developers.facebook.com/docs/graph-api/reference
    """
    grant = call.credentials
    if params.act_as == "user":
        token = user_token(grant)
    else:
        token = page_of(grant, params.page_id, params.path.partition("/")[0]).access_token
    return harmless(graph_of(call).request(params.method, params.path, token, params.params))


CALL = Action(
    name="call",
    title="Call any other edge",
    params=CallParams,
    run=call_graph,
    example={
        "method": "GET",
        "path": "110000000000001/insights",
        "params": {"metric": "page_impressions", "period": "day"},
    },
)


ACTIONS = (CALL,)
