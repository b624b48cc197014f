from django import template

from usage import costs

register = template.Library()
register.filter("dollars", costs.dollars)
