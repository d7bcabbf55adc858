"""What is wrong with settings, as the user reads it."""

from collections.abc import Mapping

import pytest

from streams.settings.load import SettingsError, load


def faults(options: Mapping[str, object] | None = None) -> list[str]:
    """The faults of the environment and these options, which are refused."""
    with pytest.raises(SettingsError) as wrong:
        load(options)
    return list(wrong.value.faults)
