"""The words of the admin API about servers, as pydantic models; the registry's rows are judged by them, too.

The API's are those of the registry's table. Nothing here is on a data worker's path.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, ValidationError

from gslb.balancing.merging import CHANGEABLE, split_check_url
from gslb.config.schema_pool import WEIGHT_MAX, ServerSection
from gslb.config.values import PORT_MAX, Name, Section, ServerHost, ServerId, refusal
from gslb.errors import ChangeRefused
from gslb.model import Registration

CONNECTIONS_MAX = 1_000_000
TIMEOUT_MAX_MS = 3_600_000
PRIORITY_MAX = 100

M = TypeVar("M", bound=Section)


def _check_url(text: str) -> str:
    try:
        split_check_url(text)
    except ValueError as error:
        raise refusal(str(error)) from None
    return text


class ServerWords(Section):
    """What may be changed of a server; null goes back to what the files say, else to the default."""

    weight: Annotated[int, Ge(0), Le(WEIGHT_MAX)] | None = None
    max_connections: Annotated[int, Ge(0), Le(CONNECTIONS_MAX)] | None = None
    health_check_url: Annotated[str, AfterValidator(_check_url)] | None = None
    timeout_ms: Annotated[int, Ge(10), Le(TIMEOUT_MAX_MS)] | None = None
    protocol: Literal["http", "https", "tcp"] | None = None
    priority: Annotated[int, Ge(0), Le(PRIORITY_MAX)] | None = None
    zone: Name | None = None
    status: Literal["ACTIVE", "INACTIVE", "MAINTENANCE"] | None = None

    def said(self) -> dict[str, Any]:
        """The words that were given, nulls among them."""
        return {word: getattr(self, word) for word in CHANGEABLE if word in self.model_fields_set}


class NewServer(ServerWords):
    """A server that registers. Without a `server_id` it is `host:port`, as in the files."""

    pool: Name
    server_id: ServerId | None = None
    host: ServerHost
    port: Annotated[int, Ge(1), Le(PORT_MAX)] = Field()

    @property
    def id(self) -> str:
        """`server_id`, or what stands for it."""
        return self.server_id or ServerSection(host=self.host, port=self.port).name


def read(model: type[M], body: bytes) -> M:
    """The words of a request's body. Raises ChangeRefused (400) that names the first wrong field and lists all."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        field, message = _problem(error)
        raise ChangeRefused(f"{field}: {message}" if field else message, 400, field) from None


def problem_of(row: Registration) -> str:
    """What is wrong with a row of the registry; "" for one that can be used."""
    words = {word: getattr(row, word) for word in CHANGEABLE}
    try:
        if row.host is None:
            ServerWords.model_validate(words)
        else:
            NewServer.model_validate(
                {**words, "pool": row.pool, "server_id": row.server_id, "host": row.host, "port": row.port}
            )
    except ValidationError as error:
        return ": ".join(_problem(error))
    return ""


def _problem(error: ValidationError) -> tuple[str, str]:
    """The first mistake: its field ("" for the whole) and what is wrong, with the remedy."""
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    context: dict[str, Any] = first.get("ctx", {})
    text = str(context.get("text", first["msg"])).replace("Input should", "should")
    remedy = context.get("remedy")
    if first["type"] == "extra_forbidden":
        text = f"is no word of a server; known: {', '.join(CHANGEABLE)}, and to register pool, server_id, host, port"
    elif first["type"] == "missing":
        text = "is missing"
    return field, f"{text} ({remedy})" if remedy else text
