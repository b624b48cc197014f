"""QR codes, drawn on the server: inline SVG, which the Content-Security-Policy lets through."""

import segno
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe


def qr_svg(url: str, label: str = "QR code of the link") -> SafeString:
    """Return `url` as SVG that fills its box, dark on white in every colour scheme.

    Error correction is medium, so that a crumpled sheet can still be read.
    """
    drawn = segno.make(url, error="m", micro=False).svg_inline(
        omitsize=True, dark="#000", light="#fff", border=4, svgclass="qr", lineclass=None
    )
    # Segno writes only numbers and the colours above.
    return format_html(
        '<span class="qr-box" role="img" aria-label="{}">{}</span>', label, mark_safe(drawn)
    )
