"""Lists of millions of rows in the admin: no page counts or sorts them all."""

from typing import Any, Final

from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.utils.functional import cached_property

from config.admin import RecordAdmin

MOST: Final = 5_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than `most`, and so has no page further away, which would be slow."""

    most = MOST

    @cached_property
    def _found(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.most + 1].count())

    @property
    def is_capped(self) -> bool:
        """Whether there is more than it shows."""
        return self._found > self.most

    @cached_property
    def count(self) -> int:
        return min(self._found, self.most)


class LargeRecordAdmin(RecordAdmin):
    """For records that only grow: newest first, found by filters that an index answers.

    No `date_hierarchy` here, which reads the whole table for the years in it, and no sorting by
    columns that no index sorts: name the others in `sortable_by`.
    """

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
