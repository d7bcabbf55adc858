"""Why a sign-in with the provider fails.

ProviderError
    ProviderAway        it does not answer, or not as a provider does: a later attempt may succeed
    SignInRejected      this sign-in is not valid: what came back was not asked for, has expired, or is forged
    NoRole              the provider vouches for the user, but gives no role of the console
"""


class ProviderError(Exception):
    """The root. The message is for the log: it holds no token and no code."""


class ProviderAway(ProviderError):
    """The provider cannot be asked."""


class SignInRejected(ProviderError):
    """The answer is not one to a sign-in of this browser, or not the provider's."""


class NoRole(ProviderError):
    """The user of this subject, whom the provider has verified, has no role here."""

    def __init__(self, subject: str, message: str) -> None:
        super().__init__(message)
        self.subject = subject
