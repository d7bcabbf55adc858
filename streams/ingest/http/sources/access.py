"""Who may send what: the token of a request, and the source that it names."""

from dataclasses import dataclass

from streams.ingest.http.problems import RequestProblem
from streams.ingest.http.request import IngestRequest
from streams.ingest.http.sources.source import ForeignSource
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.ingest.http.tokens import ANYBODY, Grant, GrantedTokens, token_of


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens and the sources of an ingest service. ``tokens``: None lets everybody write everything."""

    tokens: GrantedTokens | None
    sources: ForeignSources

    def source(self, request: IngestRequest) -> ForeignSource | None:
        """The source that the request names; None if it names none, or one that is not there."""
        return self.sources.find(request.source) if request.source is not None else None

    def grant(self, request: IngestRequest, source: ForeignSource | None) -> Grant:
        """What the request may write. Raises RequestProblem."""
        if self.tokens is None:
            return ANYBODY
        in_path = request.hidden is not None and request.hidden.token is not None
        if in_path and request.hidden is not None:
            token = request.hidden.token
        elif source is not None and source.signature is not None and source.signature.uses_authorization:
            token = None  # what stands in the header is the signature
        else:
            token = token_of(request.headers.get("authorization"))
        grant = self.tokens.grant(token) if token is not None else None
        if grant is None or not grant.valid_at(request.source, in_path=in_path):
            raise RequestProblem(
                "unauthorized",
                "expected a token that is valid here: `Authorization: Bearer TOKEN`, Basic with the token as the "
                "password, or /v1/in/NAME/TOKEN with a token that names this source",
            )
        return grant
