"""Read-only traversals of a `heapq` heap. Their cost depends on the items visited, not on the size of the heap."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])


def in_order(heap: Sequence[T]) -> Iterator[T]:
    """The items in ascending order."""
    found = [(heap[0], 0)] if heap else []
    while found:
        item, place = heapq.heappop(found)
        yield item
        for child in (2 * place + 1, 2 * place + 2):
            if child < len(heap):
                heapq.heappush(found, (heap[child], child))


def those_before(heap: Sequence[T], before: tuple[Any, ...]) -> Iterator[T]:
    """The items less than ``before``, in any order."""
    places = [0]
    while places:
        place = places.pop()
        if place < len(heap) and heap[place] < before:
            yield heap[place]
            places += [2 * place + 1, 2 * place + 2]
