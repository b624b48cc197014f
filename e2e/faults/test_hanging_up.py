"""Visitors who hang up before they are answered, again and again."""

import asyncio
import random

from e2e.faults.absence import is_ready
from e2e.faults.world import World

# More than a process has connections to its database.
ROUNDS, AT_ONCE = 60, 30
PATHS = ("/readyz", "/", "/scenarios/")


async def hang_up(port: int, path: str, after: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    try:
        async with asyncio.timeout(after):
            await reader.read(1)
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()


async def test_who_hangs_up_gives_their_connection_back(
    services: World, rng: random.Random
) -> None:
    server = services.servers[0]
    for _ in range(ROUNDS):
        calls = (
            hang_up(server.port, PATHS[n % len(PATHS)], rng.uniform(0, 0.3)) for n in range(AT_ONCE)
        )
        await asyncio.gather(*calls)
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(is_ready, server.port):
            await asyncio.sleep(0.5)
    await services.settle()
