"""Faults: the promises kept while real processes are killed, paused, cut off and lied to.

`make faults` runs them; `make test` leaves them out, for they take minutes and need PostgreSQL
and Redis.
"""

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from e2e.faults.machines import missing
from e2e.faults.world import World

HERE = Path(__file__).parent
MISSING = missing()
# Fixtures that need PostgreSQL and Redis.
ON_SERVICES = {"services", "uvicorn", "pair", "served", "workers", "behind"}
# Lines for the end of the run.
FIGURES: list[str] = []
SEED = os.environ.get("SEED") or secrets.token_hex(4)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.is_relative_to(HERE)]
    chosen = "faults" in config.option.markexpr
    for item in here:
        item.add_marker(pytest.mark.faults)
        if MISSING and ON_SERVICES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason=f"{MISSING} not found: install it"))
    if here and not chosen:
        items[:] = [item for item in items if item not in here]
        config.hook.pytest_deselected(items=here)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in FIGURES:
        terminalreporter.line(line)
    skipped = terminalreporter.stats.get("skipped", [])
    if MISSING and any("not found: install it" in str(report.longrepr) for report in skipped):
        terminalreporter.section("FAULTS WERE NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped: {MISSING} not found.", red=True)


@pytest.fixture(scope="session")
def seed() -> str:
    """What chance begins from: SEED, or a new one; it is printed at the end."""
    return SEED


@pytest.fixture
def rng(seed: str, request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{seed}/{request.node.name}")


@pytest.fixture(scope="session")
def _services() -> Iterator[World]:
    yield from opened(World(services=True))


@pytest.fixture(scope="session")
def _embedded() -> Iterator[World]:
    yield from opened(World(services=False, kinds=["serve"]))


@pytest.fixture(scope="session")
def _uvicorn() -> Iterator[World]:
    yield from opened(World(services=True, kinds=["uvicorn", "uvicorn"]))


def opened(world: World) -> Iterator[World]:
    try:
        asyncio.run(world.start())
        yield world
    finally:
        world.close()


async def lent(world: World) -> AsyncIterator[World]:
    """The world in order, for one test, which leaves it in order whatever happens."""
    world.forget()
    yield world
    await world.leave()
    await world.heal()


@pytest.fixture
async def services(_services: World) -> AsyncIterator[World]:
    """PostgreSQL, Redis and two processes under daphne."""
    async for world in lent(_services):
        yield world


@pytest.fixture
async def uvicorn(_uvicorn: World) -> AsyncIterator[World]:
    """The same under uvicorn."""
    async for world in lent(_uvicorn):
        yield world


@pytest.fixture
async def embedded(_embedded: World) -> AsyncIterator[World]:
    """SQLite and one process."""
    async for world in lent(_embedded):
        yield world


@pytest.fixture(params=["services", pytest.param("uvicorn", marks=pytest.mark.slow)])
def _pair(request: pytest.FixtureRequest) -> World:
    return request.getfixturevalue(f"_{request.param}")


@pytest.fixture
async def pair(_pair: World) -> AsyncIterator[World]:
    """Two processes under daphne, and then two under uvicorn."""
    async for world in lent(_pair):
        yield world


@pytest.fixture(scope="module")
def _workers() -> Iterator[World]:
    yield from opened(World(services=True, kinds=["serve"], PROCESSES="2"))


@pytest.fixture
async def workers(_workers: World) -> AsyncIterator[World]:
    """One server of two processes."""
    async for world in lent(_workers):
        yield world
