"""HTML in small pieces; text is escaped unless it is already `Html`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content = str | Html


def text(content: object) -> Html:
    """``content`` as markup, escaped unless it is markup.

    Example:
        >>> text("a < b & c")
        'a &lt; b &amp; c'
    """
    return content if isinstance(content, Html) else Html(html.escape(_visible(str(content)), quote=True))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """``<tag attributes>children</tag>``; ``class_`` is class, ``_`` in names is ``-``, None leaves one out.

    Example:
        >>> element("p", "1 < 2", class_="note")
        '<p class="note">1 &lt; 2</p>'
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_visible(str(value)), quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{shown}>{''.join(text(child) for child in children)}</{tag}>")


def joined(parts: Iterable[Content], between: str = "") -> Html:
    """Pieces one after another."""
    return Html(text(between).join(text(part) for part in parts))


def table(
    titles: Sequence[Content], rows: Iterable[Sequence[object]], *, caption: str, sortable: bool = True, kind: str = ""
) -> Html:
    """A table that can be scrolled sideways; its columns sort when their titles are pressed.

    Args:
        titles: Of the columns; the first column's cells are the rows' names.
        rows: A cell per title; a number may be given as a pair ``(shown, value to sort by)``.
        caption: What it shows, for those who cannot see it.
        sortable: False where the order means something.
        kind: A further class for the style sheet.
    """
    head = joined(element("th", title, scope="col") for title in titles)
    body = joined(
        element("tr", _cell("th", row[0], scope="row"), *(_cell("td", cell) for cell in row[1:])) for row in rows
    )
    whole = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", head)),
        element("tbody", body),
        class_=" ".join([*["sortable"] * sortable, *[kind] * bool(kind)]) or None,
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _cell(tag: str, content: object, **attributes: object) -> Html:
    if isinstance(content, tuple):
        shown, value = content
        return element(tag, shown, data_sort=value, **attributes)
    return element(tag, content, **attributes)


def _visible(content: str) -> str:
    """Control characters, which HTML may not hold, as their pictures; line ends and tabs stay."""
    return "".join(
        chr(0x2400 + ord(character)) if ord(character) < 32 and character not in "\n\t" else character
        for character in content
    ).replace("\x7f", "\u2421")
