"""No list of the desk asks more of the database for thirty rows than for one."""

from django.contrib import admin

from config.tests.desk import DeskTestCase, admin_url
from config.tests.rows import make

# Of what there cannot be thirty.
MOST = {"usage.Allowance": 4}
AT_MOST = 12


class ListTests(DeskTestCase):
    def test_every_list_takes_as_many_queries_for_many(self):
        for model in list(admin.site._registry):
            label = model._meta.label
            url = admin_url(model._meta.label_lower, "changelist")
            with self.subTest(label):
                # Over what the test has already: one row more, and then thirty.
                make(model, 0)
                few = self.queries(url)
                for number in range(1, MOST.get(label, 30)):
                    make(model, number)
                assert self.queries(url) == few
                assert few <= AT_MOST
