"""No browser test reads a page while it may be on its way to another."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# What may leave the page that it is done on.
LEAVES = {"click", "dblclick", "press", "tap"}
# What looks once, or leads away from the answer, where `expect` and `wait_for…` wait for it.
AT_ONCE = {
    *("all", "all_inner_texts", "content", "count", "evaluate", "evaluate_all", "goto"),
    *("inner_text", "input_value", "is_visible", "mail", "newest_code", "pdf", "read_text"),
    *("reload", "run", "screenshot", "text_content", "url", "violations"),
}
WAITS = {"expect", "wait_for", "wait_for_function", "wait_for_url"}


def names(node: ast.AST) -> set[str]:
    """The functions, methods and attributes that a statement uses, not those inside its blocks."""
    found = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return found | {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def head(statement: ast.stmt) -> ast.AST:
    """Of a compound statement what is evaluated first."""
    return getattr(statement, "test", None) or getattr(statement, "iter", None) or statement


def leaves(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.attr in LEAVES
    )


def hasty(source: str) -> Iterator[int]:
    """The lines that look at once after something that may have left the page."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for first, then in pairwise(body) if isinstance(body, list) else ():
            used = names(head(then))
            if leaves(first) and used & AT_ONCE and not used & WAITS:
                yield then.lineno


@pytest.mark.parametrize("name", sorted(path.name for path in TESTS.glob("*.py")))
def test_nothing_is_read_straight_after_a_click(name: str):
    assert list(hasty((TESTS / name).read_text())) == []


@pytest.mark.parametrize(
    ("then", "lines"),
    [
        ("found['it'] = violations(page)", [2]),
        ("if 'login' in page.url:\n    pass", [2]),
        ("expect(page.get_by_role('heading', name='There')).to_be_visible()", []),
    ],
)
def test_what_is_hasty_is_seen(then: str, lines: list[int]):
    assert list(hasty(f"page.get_by_role('link').click()\n{then}")) == lines
