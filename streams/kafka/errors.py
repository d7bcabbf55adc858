"""Translates aiokafka's errors to TransientError, Fenced or PermanentError, each with one readable line."""

import logging
import ssl
from collections.abc import Iterator

import aiokafka.errors as theirs

from streams.kafka.api import Fenced, OffsetOutOfRange, PermanentError, TransientError
from streams.wording.kafka_wording import kafka_text

_FENCED = (
    theirs.ProducerFenced,
    theirs.InvalidProducerEpoch,
    theirs.InvalidProducerIdMapping,
    theirs.InvalidTxnState,
    theirs.OutOfOrderSequenceNumber,
    theirs.UnknownProducerId,
)
_LOGIN = (
    theirs.SaslAuthenticationFailed,
    theirs.UnsupportedSaslMechanismError,
    theirs.IllegalSaslStateError,
    theirs.AuthenticationFailedError,
    theirs.AuthenticationMethodNotSupported,
)
_NOT_ALLOWED = (
    theirs.TopicAuthorizationFailedError,
    theirs.GroupAuthorizationFailedError,
    theirs.ClusterAuthorizationFailedError,
    theirs.TransactionalIdAuthorizationFailed,
)
# UnknownTopicOrPartitionError is left out: aiokafka raises it for any topic while the broker is away.
_NEVER = (
    theirs.InvalidTopicError,
    theirs.MessageSizeTooLargeError,
    theirs.RecordListTooLargeError,
    theirs.RecordTooLargeError,
    theirs.UnsupportedCodecError,
    theirs.UnsupportedVersionError,
    theirs.IncompatibleBrokerVersion,
    theirs.InvalidTransactionTimeout,
    theirs.InvalidSessionTimeoutError,
    theirs.InvalidGroupIdError,
    theirs.InconsistentGroupProtocolError,
    theirs.InvalidReplicationFactorError,
    theirs.InvalidPartitionsError,
    theirs.InvalidConfigurationError,
    theirs.PolicyViolationError,
)
_SEAM = (TransientError, Fenced, PermanentError, OffsetOutOfRange)


def translate_error(error: BaseException, doing: str) -> Exception:
    """``error``, raised while ``doing`` something, as an error of `streams.kafka.api`."""
    if isinstance(error, _SEAM):
        return error
    for cause in _chain(error):
        if isinstance(cause, _FENCED):
            return Fenced(kafka_text("fenced", doing=doing))
        if isinstance(cause, _LOGIN):
            return PermanentError(kafka_text("login", doing=doing, why=_said(cause)))
        if isinstance(cause, _NOT_ALLOWED):
            return PermanentError(kafka_text("not_allowed", doing=doing, why=_said(cause)))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PermanentError(kafka_text("not_trusted", doing=doing, why=cause.verify_message))
        if isinstance(cause, _NEVER):
            return PermanentError(f"{doing}: refused: {_said(cause)}")
    if isinstance(error, TimeoutError):
        return TransientError(kafka_text("no_answer", doing=doing))
    return TransientError(f"{doing}: {_said(error)}")


def silence_client_logs() -> None:
    """Silence aiokafka's logger: it logs each retry, and logs errors with tracebacks that it also raises.

    A level that is already set for its logger is kept.
    """
    logger = logging.getLogger("aiokafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
    logging.getLogger("asyncio").addFilter(_not_told_elsewhere)  # once, however often it is added


def _not_told_elsewhere(record: logging.LogRecord) -> bool:
    """Drop errors in futures that aiokafka leaves behind, of batches that failed with their transaction."""
    error = record.exc_info[1] if record.exc_info else None
    left_behind = record.getMessage().startswith("Future exception was never retrieved")
    return not (left_behind and isinstance(error, theirs.KafkaError))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _said(error: BaseException) -> str:
    """The error's message on one line."""
    if isinstance(error, theirs.BrokerResponseError):
        details = ", ".join(str(detail) for detail in error.args)
        return " ".join(f"{error.description or error.message} {f'({details})' if details else ''}".split())
    if isinstance(error, theirs.KafkaError):
        return " ".join(", ".join(str(detail) for detail in error.args).split()) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
