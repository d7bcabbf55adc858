"""Garbage collection in a process that holds the state of many tenants."""

import gc
from typing import Final

_OF_A_SERVICE: Final = (10_000, 4, 1)
_OF_A_BATCH: Final = (100_000, 50, 1_000)  # young objects alone are scanned: those that survive mostly stay to the end
_FULL: Final = 2  # the generation of a full collection


def reduce_garbage_collection(batch: bool = False) -> None:
    """Exclude everything loaded so far from garbage collection, and collect seldom; in a ``batch`` process, that ends
    with its input and answers nobody meanwhile, still more seldom.

    Records come and go in hundreds, without cycles; by default that triggers a collection each time. Objects that
    survive a full collection are excluded, too: at 100,000 tenants there are millions, and scanning them all would
    block every thread for a second, and take half of the time of records that are not calls. A cycle of such objects
    is never freed; the state has none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*(_OF_A_BATCH if batch else _OF_A_SERVICE))
    if exempt_survivors not in gc.callbacks:
        gc.callbacks.append(exempt_survivors)
    gc.enable()


def exempt_survivors(phase: str, info: dict[str, int]) -> None:
    """After each full collection, exclude the surviving objects."""
    if phase == "stop" and info["generation"] == _FULL:
        gc.freeze()
