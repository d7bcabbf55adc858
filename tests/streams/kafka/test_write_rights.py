"""The right to write is looked up before anything is written; what is not known is not reported."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from streams.kafka.api import TransientError
from streams.kafka.write_rights import WriteRights


class Rights:
    """A cluster that refuses writes to these topics; None: it does not answer."""

    def __init__(self) -> None:
        self.refused: set[str] | None = set()

    async def not_writable(self, names: Sequence[str]) -> list[str]:
        if self.refused is None:
            raise TransientError("no answer in time")
        return [name for name in names if name in self.refused]


async def test_what_is_not_allowed_is_named_until_it_is() -> None:
    cluster = Rights()
    rights = WriteRights(cluster, ["reviews", "actions"])
    with capture_logs() as logs:
        await rights.look()
        assert rights.missing is None
        cluster.refused = {"actions"}
        await rights.look()
        says = "Kafka's ACLs do not allow writing to actions: allow the user of this program Write on it"
        assert rights.missing == says
        cluster.refused = None
        await rights.look()
        assert rights.missing == says
        cluster.refused = {"other"}
        await rights.look()
        assert rights.missing is None
    assert [line["why"] for line in logs] == [says]
