"""The value of the topic of actions: what people did in the console, one record for each action."""

from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct, field

from schemas.inputs import Id, Ms

ActionName = Literal[
    "signed_in",
    "sign_in_failed",
    "signed_out",
    "sessions_ended",
    "password_changed",
    "second_factor_set",
    "second_factor_removed",
    "recovery_codes_made",
    "token_made",
    "token_revoked",
    "user_added",
    "user_reset",
    "user_disabled",
    "user_enabled",
    "roles_changed",
    "case_claimed",
    "case_released",
    "case_assigned",
    "case_postponed",
    "note_written",
    "verdict_given",
    "verdict_cancelled",
    "reason_text_changed",
    "appeal_recorded",
    "second_look_answered",
    "admission_decided",
    "case_exported",
    "actions_exported",
    "proposed",
    "proposal_approved",
    "proposal_declined",
    "proposal_withdrawn",
    "policy_draft_saved",
    "policy_previewed",
    "policy_applied",
    "policy_withdrawn",
    "dead_letter_retried",
]
ACTION_NAMES: Final[frozenset[str]] = frozenset(get_args(ActionName))
Subject = Annotated[str, Meta(min_length=1, max_length=512)]


def _doc(text: str) -> Meta:
    return Meta(description=text)


class Action(Struct, tag_field="type", tag="action", frozen=True):
    """One action of a person in the console, or of an operator by its command line.

    The key of the record is the actor; of a failed sign-in the account; with neither `nobody`. Readers ignore names of
    actions that they do not know.
    """

    action_id: Annotated[Id, _doc("Unique: a record that is read twice has the same id.")]
    action: Annotated[ActionName, _doc("What was done.")]
    actor: Annotated[
        Subject | None,
        _doc(
            "The verified subject who did it: `local:NAME`, `oidc:ISSUER#SUB`, or `cli:USER` of an operator's command; "
            "null for a failed sign-in."
        ),
    ]
    roles: Annotated[list[str], _doc("The roles of the actor at that time, sorted.")]
    at_ms: Annotated[Ms, _doc("When it was done, epoch ms UTC, by the console's clock.")]
    subject: Annotated[Subject | None, _doc("The user that it was done to; null if it is about no user.")] = None
    tenant_id: Annotated[Id | None, _doc("The tenant that it is about, or null.")] = None
    enforcement_id: Annotated[Id | None, _doc("The decision that it is about, or null.")] = None
    proposal_id: Annotated[Id | None, _doc("The proposal that waits, or waited, for a second person, or null.")] = None
    reason: Annotated[str | None, _doc("The reason that was given, with telephone numbers masked, or null.")] = None
    details: Annotated[
        dict[str, str], _doc("What else is known of it, such as the verdict, or the address of a sign-in.")
    ] = field(default_factory=dict)
