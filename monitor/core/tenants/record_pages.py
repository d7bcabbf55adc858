"""Pages: the records of one kind of a tenant, in the units in which they are stored."""

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct


class PagedRecords(Protocol):
    """An item that holds the number of its page."""

    page: int


P = TypeVar("P", bound=PagedRecords)


class Pages(Struct, Generic[P], gc=False):
    """Items in pages of at most ``size``, with the numbers of the pages that changed since they were last stored.

    An item stays in its page until it is removed, so a change rewrites one page, however many items there are. A new
    item enters the last page, or a new page after it. The page of an item depends only on the existing items, so it is
    the same after a restart.
    """

    size: int
    _pages: dict[int, list[P]] = {}  # ascending; msgspec copies it
    _changed: set[int] | None = None

    def add(self, item: P) -> None:
        """Add a new item to a page."""
        number = next(reversed(self._pages), 0)
        page = self._pages.setdefault(number, [])
        if len(page) >= self.size:
            number += 1
            page = self._pages[number] = []
        page.append(item)
        item.page = number
        self._mark(number)

    def touch(self, item: P) -> None:
        """Mark the page of an item as changed, before or after the change."""
        self._mark(item.page)

    def remove(self, item: P) -> None:
        """Remove the item from its page. An empty page is removed."""
        items = self._pages[item.page]
        del items[next(place for place, one in enumerate(items) if one is item)]
        if not items:
            del self._pages[item.page]
        self._mark(item.page)

    def load(self, number: int, items: Iterable[P]) -> None:
        """Load a stored page. Call this in ascending order of page numbers."""
        self._pages[number] = list(items)
        for item in self._pages[number]:
            item.page = number

    def changed(self) -> list[tuple[int, list[P] | None]]:
        """The pages that changed since the last call, ascending. None marks a removed page."""
        changed, self._changed = self._changed or (), None
        return [(number, self._pages.get(number)) for number in sorted(changed)]

    def mark_all(self) -> None:
        """Mark all pages as changed."""
        self._changed = set(self._pages)

    def _mark(self, number: int) -> None:
        if self._changed is None:
            self._changed = set()
        self._changed.add(number)
