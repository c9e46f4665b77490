"""What a request outward takes and gives; ``client.py`` sends it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypedDict, Unpack

from integrations.models import Json
from integrations.outbound.content import Content, Sink, StoredFile

type ChooseSink = Callable[[Mapping[str, str]], Sink | None]


class Options(TypedDict, total=False):
    """What may be said of a request beside its method and URL.

    Attributes:
        params: Query parameters.
        json: A JSON body.
        data: A form (mapping) or a raw body.
        files: Multipart parts: field name → (file name, content, content type).
        headers: Extra headers.
        max_redirects: How many redirects to follow, each checked by the guard; none by default.
        max_bytes: The most that is read of the answer; 8 MiB by default.
        read_timeout: Seconds to wait between bytes of the answer; 15 by default.
        total_timeout: Seconds for the whole request, where that is less than it may take anyhow.
        sink: Told the headers of a good answer (2xx), gives what takes its body piece by piece, up
            to ``MAX_STORED`` bytes; ``None`` has it read.
    """

    params: Mapping[str, Any] | list[tuple[str, str]] | None
    json: Json
    data: Mapping[str, Any] | bytes | Content | None
    files: Mapping[str, tuple[str, bytes | Content, str]] | None
    headers: Mapping[str, str] | None
    max_redirects: int
    max_bytes: int
    read_timeout: float
    total_timeout: float
    sink: ChooseSink | None


class Response(Protocol):
    """What came back from an outbound request; the body is already read and bounded in size."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are case-insensitive."""
        ...

    @property
    def content(self) -> bytes:
        """The body; empty where a sink took it."""
        ...

    @property
    def stored(self) -> StoredFile | None:
        """Where a sink has put the body; ``None`` where it was read."""
        ...

    @property
    def text(self) -> str:
        """The body as text; bytes that do not decode are replaced."""
        ...

    def json(self) -> Json:
        """The body as JSON.

        Raises:
            ProviderUnavailable: It is not JSON (a proxy's HTML page, say).
        """
        ...


class Http(Protocol):
    """The one way out, guard and limits included."""

    def request(self, method: str, url: str, **options: Unpack[Options]) -> Response:
        """Send one request and read the whole answer, whatever its status.

        Args:
            method: The HTTP method.
            url: http or https; neither it nor its query appears in any error or log.
            options: See ``Options``.

        Raises:
            AddressRefused: The guard refuses the scheme, the port or the address.
            ProviderTimeout: No answer in time; ``outcome_unknown`` tells whether it was sent.
            ProviderUnavailable: Could not connect, or the answer broke off or is too large.
        """
        ...
