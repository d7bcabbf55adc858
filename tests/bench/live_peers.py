"""The installed peers, as contenders of the live bench."""

from collections.abc import Mapping
from pathlib import Path

from bench.live_contenders import Contender
from bench.peers.catalogue import FOLDER, PEERS, MissingPeerError
from bench.process import Program
from bench.workload import ROOT


def installed_peers(records: Mapping[str, int], calls: int, folder: Path = FOLDER) -> tuple[list[Contender], list[str]]:
    """The peers that are installed in ``folder``, and why each other one is skipped.

    Each reads its number of ``records``, at most all ``calls``.
    """
    found: list[Contender] = []
    skipped: list[str] = []
    for peer in PEERS:
        try:
            program = Program(ROOT, peer.runner(folder))
        except MissingPeerError as error:
            skipped.append(f"{peer.name}: {error}")
            continue
        found.append(
            Contender(
                peer.name,
                peer.about,
                peer.arguments,
                ("ready", 1),
                records=min(records[peer.name], calls),
                environment=peer.environment,
                program=program,
                changelogs=peer.changelogs,
                is_peer=True,
            )
        )
    return found, skipped
