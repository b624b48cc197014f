"""Addresses with a NUL in them, which PostgreSQL has no place for: nothing of ours has one."""

from typing import Any, Final

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest
from django.utils.deprecation import MiddlewareMixin

NUL: Final = "\0"


class NulMiddleware(MiddlewareMixin):
    """Answers 404 to a NUL in the path, and 400 to one in the query; forms refuse their own."""

    def process_request(self, request: HttpRequest) -> None:
        if NUL in request.path_info:
            raise Http404
        query = request.META.get("QUERY_STRING", "")
        if "%00" in query or NUL in query:
            raise BadRequest("The query holds a NUL.")

    async def __acall__(self, request: HttpRequest) -> Any:
        """As Django's, without a thread for what waits for nothing."""
        self.process_request(request)
        get_response: Any = self.get_response
        return await get_response(request)
