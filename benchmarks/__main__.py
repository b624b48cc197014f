"""`make bench`: measure everything, print a table, and put it into benchmarks/README.md.

`ARGS="chunks memory"` takes only some of the figures, and then leaves the file alone.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import figures, stack
from benchmarks.pages import queries, time_to_first_byte
from benchmarks.processes import LOAD_CORE
from benchmarks.report import Row, heading, keep, table

REPEATS: Final = 3
# Conversations that stream while processor time is counted.
STREAMS: Final = 25
RAMP: Final = (50, 100, 150, 200, 250, 300)
DELAY: Final = 100.0  # milliseconds
LENGTHS: Final = (10, 100, 1000)


@dataclass
class Bench:
    """The servers side by side."""

    var: Path
    model: stack.Model
    bare: stack.Server
    parley: stack.Server
    read: list[dict[str, Any]]

    @property
    def both(self) -> tuple[stack.Server, stack.Server]:
        return self.parley, self.bare

    async def chunks(self) -> list[Row]:
        relays = []
        for server in self.both:
            rooms = await server.open(STREAMS)
            relays.append(figures.Relay([server.process], rooms, rooms))
        taken = [await figures.cpu_per_chunk(relays, self.model) for _ in range(REPEATS)]
        ours, bare = zip(*taken, strict=True)
        return [Row.ratio("CPU per chunk, one process", "µs", ours, bare, at_most=1.3)]

    async def first(self) -> list[Row]:
        """One sender, then a hundred at once."""
        taken: dict[str, list[tuple[str, int, float]]] = {"Parley": [], "bare": []}
        for turn in range(40):
            for server in self.both:
                rooms = await server.open(10)
                taken[server.name].append(await figures.first_token(rooms[turn % 10], self.model))
        arrived = self.model.arrivals()
        own = {
            name: [(arrived[text] - sent) / 1000 for text, sent, _ in found]
            for name, found in taken.items()
        }
        whole = {name: [wait for *_, wait in found] for name, found in taken.items()}
        rows = [
            Row.value("From frame to request, one", "ms", own["Parley"], own["bare"], at_most=15),
            Row.difference("Time to first token, one", "ms", whole["Parley"], whole["bare"]),
        ]
        crowds: dict[str, list[float]] = {"Parley": [], "bare": []}
        for _ in range(REPEATS):
            for server in self.both:
                waits = await figures.first_tokens_at_once(await server.open(100), self.model)
                crowds[server.name].append(statistics.median(waits))
        row = Row.ratio(
            "Time to first token, 100 at once", "ms", crowds["Parley"], crowds["bare"], at_most=1.5
        )
        return [*rows, row]

    async def ramp(self) -> list[Row]:
        carried = {"Parley": 0, "bare": 0}
        for server in self.both:
            for count in RAMP:
                rooms = await server.open(count)
                # The better of two: a neighbour's work on the machine is no delay of ours.
                delays = [await figures.delay(rooms, self.model) for _ in range(2)]
                if min(delays) >= DELAY:
                    break
                carried[server.name] = count
        name = "Conversations at 20 chunks a second, p95 delay under 100 ms"
        return [Row.value(name, "", [carried["Parley"]], [carried["bare"]], at_least=150)]

    async def memory(self) -> list[Row]:
        ours, bare = [
            await figures.memory_per_socket(server, 150, 500) / 1000 for server in self.both
        ]
        for server in self.both:
            await server.close()
        return [Row.ratio("Memory per idle socket", "kB", [ours], [bare], at_most=1.3)]

    async def pages(self) -> list[Row]:
        paths = {entry["turns"]: f"/conversations/{entry['conversation']}/" for entry in self.read}
        times: dict[int, list[float]] = {turns: [] for turns in paths}
        for _ in range(15):
            for entry in self.read:
                took = await asyncio.to_thread(
                    time_to_first_byte,
                    self.parley.port,
                    paths[entry["turns"]],
                    entry["session"],
                )
                times[entry["turns"]].append(took)
        environment = stack.parley_environment(self.var, self.model, self.parley.port, None)
        rows = []
        for entry in self.read:
            turns, path = entry["turns"], paths[entry["turns"]]
            count = queries(environment, entry["session"], path)[path]
            name = f"First byte of a conversation of {turns} turns ({count} queries)"
            rows.append(
                Row.ratio(name, "ms", times[turns], times[LENGTHS[0]], at_most=2, base="10 turns")
            )
        return rows[1:] if len(rows) > 1 else rows


FIGURES: Final[dict[str, Callable[[Bench], Coroutine[Any, Any, list[Row]]]]] = {
    "memory": Bench.memory,
    "chunks": Bench.chunks,
    "first": Bench.first,
    "pages": Bench.pages,
    "ramp": Bench.ramp,
}


async def two_processes(var: Path, model: stack.Model, services: dict[str, str]) -> list[Row]:
    """A reply that runs in one process, for pages on another."""
    with (
        stack.bare(var, model) as bare,
        stack.parley(var, model, services=services) as runs,
        stack.parley(var, model, services=services) as shows,
    ):
        runs.seeded = shows.seeded = stack.seed(var, model, STREAMS, services=services)["rooms"]
        rooms = await bare.open(STREAMS)
        alone = figures.Relay([bare.process], rooms, rooms)
        taken = []
        for _ in range(REPEATS):
            listeners, speakers = await shows.open(STREAMS), await runs.open(STREAMS)
            pair = figures.Relay([runs.process, shows.process], listeners, speakers)
            taken.append(await figures.cpu_per_chunk([pair, alone], model))
            runs.rooms = []
        ours, base = zip(*taken, strict=True)
        for server in (bare, shows):
            await server.close()
    return [Row.ratio("CPU per chunk, two processes and Redis", "µs", ours, base, at_most=2)]


def measure(names: list[str]) -> list[Row]:
    rows: list[Row] = []

    def note(found: list[Row], suffix: str = "") -> None:
        for row in found:
            row.figure += suffix
            rows.append(row)
            print(row, flush=True)

    async def take(bench: Bench, chosen: list[str], suffix: str = "") -> None:
        for name in chosen:
            note(await FIGURES[name](bench), suffix)
        for server in bench.both:
            await server.close()

    with contextlib.ExitStack() as exits:
        var = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-")))
        model = exits.enter_context(stack.model(var))
        with stack.bare(var, model) as bare, stack.parley(var, model) as parley:
            seeded = stack.seed(var, model, 500, *LENGTHS)
            parley.seeded = seeded["rooms"]
            bench = Bench(var, model, bare, parley, seeded["read"])
            asyncio.run(take(bench, [name for name in FIGURES if name in names]))
        if "uvicorn" in names:
            with (
                stack.bare(var, model, "uvicorn") as bare,
                stack.parley(var, model, "uvicorn") as parley,
            ):
                parley.seeded = seeded["rooms"]
                bench = Bench(var, model, bare, parley, [])
                asyncio.run(take(bench, ["memory", "chunks", "first"], ", uvicorn"))
        if "two" in names:
            if missing := stack.missing_services():
                print(f"Two processes: skipped, {' and '.join(missing)} not installed")
            else:
                place = var / "two"
                place.mkdir()
                with stack.services(place) as services:
                    note(asyncio.run(two_processes(place, model, services)))
    return rows


def main() -> None:
    every = [*FIGURES, "uvicorn", "two"]
    names = sys.argv[1:] or every
    if unknown := set(names) - set(every):
        sys.exit(f"No figure of that name: {', '.join(unknown)}. There are {', '.join(every)}.")
    os.sched_setaffinity(0, {LOAD_CORE})
    rows = measure(names)
    text = f"{heading()}\n\n{table(rows)}"
    print(f"\n{text}")
    if names == every:
        keep(text)


if __name__ == "__main__":
    main()
