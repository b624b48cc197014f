"""Where a Chromium is to be found, if anywhere."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The browser that `CHROMIUM` names, one of the machine's, or one that Playwright installed."""
    if named := os.environ.get("CHROMIUM"):
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    places = (Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright")
    for place in places:
        for pattern in ("chromium-*/chrome-linux*/chrome", "chromium-*/**/MacOS/*"):
            if installed := sorted(place.glob(pattern)):
                return str(installed[-1])
    return None
