"""The mail can be read in the light and in the dark: contrast by WCAG 2.2, 1.4.3."""

import re

import pytest
from django.template.loader import get_template

MAIL = get_template("invitations/mail/invitation.html").template.source
# What is written on what, by the classes that name them in the dark.
PAIRS = {
    "text on the page": ("paper", "paper"),
    "text on the sheet": ("paper", "sheet"),
    "quiet text": ("soft", "sheet"),
    "the link": ("link", "sheet"),
    "the button": ("button", "button"),
}


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def declared(css: str, name: str) -> str | None:
    found = re.search(rf"(?<![\w-]){name}:\s*(#[0-9a-f]{{6}})", css)
    return found[1] if found else None


def colour(kind: str, name: str, dark: bool) -> str:
    """What `kind` has as `color` or `background`."""
    if dark:
        css = re.search(rf"\.{kind} {{([^}}]*)}}", MAIL)[1]
    else:
        css = re.search(rf'class="{kind}"[^>]*style="([^"]*)"', MAIL)[1]
    return declared(css, name)


def test_black_on_white_is_what_the_standard_says():
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("pair", PAIRS)
def test_it_can_be_read(pair, dark):
    text, ground = PAIRS[pair]
    assert contrast(colour(text, "color", dark), colour(ground, "background", dark)) >= 4.5
