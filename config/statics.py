"""Static files from the process itself, for pages that are served asynchronously."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise's, which knows no asynchronous request.

    Django would run all behind a synchronous one in a thread that waits. When a visitor hangs up
    meanwhile, what ends a request finds that thread gone, and the connection to the database that
    the request had is never given back.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[..., Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._answer(request)
        return super().__call__(request)

    async def _answer(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(self.static_prefix):
            # In a thread of any kind: it reads files, and no database.
            file = await sync_to_async(self._file, thread_sensitive=False)(request)
            if file is not None:
                file.streaming_content = _whole(file.streaming_content)
                return file
        return await self.get_response(request)

    def _file(self, request: HttpRequest) -> Any:
        path = request.path_info
        found = self.find_file(path) if self.autorefresh else self.files.get(path)
        return None if found is None else self.serve(found, request)


async def _whole(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Read in a thread, at once: these files are small."""
    for piece in await sync_to_async(_read, thread_sensitive=False)(pieces):
        yield piece


def _read(pieces: Iterable[bytes]) -> list[bytes]:
    return list(pieces)
