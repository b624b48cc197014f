"""Lists of calls are found by an index, also those of which there are none."""

from datetime import timedelta
from itertools import cycle

import pytest
from django.db import connection
from django.utils import timezone

from usage.models import UsageLog

ANSWERS = (("partner", "sonnet"), ("coach", "haiku"))


@pytest.mark.django_db
def test_a_pair_that_never_occurs_is_not_looked_for_among_all_calls():
    now = timezone.now()
    UsageLog.objects.bulk_create(
        UsageLog(
            stream_type=stream,
            model=model,
            input_tokens=1,
            output_tokens=1,
            timestamp=now - timedelta(minutes=number),
        )
        for number, (stream, model) in zip(range(2000), cycle(ANSWERS), strict=False)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE usage_usagelog")
    wanted = UsageLog.objects.filter(stream_type="partner", model="haiku")
    plan = wanted.order_by("-timestamp", "-id").explain()
    assert "usagelog_stream_model_time" in plan
