"""The outcomes of the networks' causes: tables that a mapping names, `table: sip`, `q850`, `hangup_cause`.

A cause says how an attempt ended, not whether it was answered: an answered call has its answer time, and its cause is
that of its end. Where a cause leaves two readings, the table has the one that accuses nobody.

Sources: ITU-T Q.850; RFC 3261, 3398, 8197, 8688; FreeSWITCH `mod_sofia`; Asterisk's table of hangup causes.
"""

from typing import Final


def _table(outcomes: dict[str, str]) -> dict[str, str]:
    return {cause: outcome for outcome, causes in outcomes.items() for cause in causes.split()}


SIP: Final = dict.fromkeys((str(code) for code in range(300, 700)), "failed") | _table(
    {
        "answered": "200 202",
        "invalid_number": "404 410 484 485 604",
        "busy": "486 600",
        "unreachable": "408 480 502",  # 480 after 180 is no_answer: a case of the mapping
        "rejected": "603",  # with the reason "Network Blocked" carrier_blocked: a case of the mapping
        "carrier_blocked": "607 608",
        "cancelled": "487",
    }
)
"""Final responses. What has no row of its own is `failed`; 401, 403 and 407 do not say which side is barred."""

Q850: Final = dict.fromkeys((str(cause) for cause in range(1, 128)), "failed") | _table(
    {
        "invalid_number": "1 22 28",
        "cancelled": "16",  # cleared before an answer
        "busy": "17",
        "unreachable": "18 20 27",
        "no_answer": "19",
        "rejected": "21",
    }
)
"""Causes of ISUP and ISDN, of an attempt without an answer."""

HANGUP_CAUSE: Final = _table(
    {
        "invalid_number": "UNALLOCATED_NUMBER NUMBER_CHANGED INVALID_NUMBER_FORMAT",
        "cancelled": "ORIGINATOR_CANCEL",
        "busy": "USER_BUSY",
        "unreachable": "NO_USER_RESPONSE SUBSCRIBER_ABSENT DESTINATION_OUT_OF_ORDER USER_NOT_REGISTERED",
        "no_answer": "NO_ANSWER PROGRESS_TIMEOUT ALLOTTED_TIMEOUT",
        "rejected": "CALL_REJECTED",
    }
)
"""FreeSWITCH's names of the causes of an attempt without an answer. What is not here is `failed`."""

TABLES: Final = {"sip": SIP, "q850": Q850, "hangup_cause": HANGUP_CAUSE}
