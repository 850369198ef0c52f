"""Pages that need no other file, up to a size: pictures and sounds within the HTML. No Ray."""

import base64
import io
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import unquote

import soundfile

from freqquest.audio.compress import encode_mp3
from freqquest.storage import Location

_SOURCE = re.compile(r'src="([^":]+)"')
"""Relative link of a picture or a sound."""

_TYPES = {".png": "image/png", ".webp": "image/webp", ".mp3": "audio/mpeg"}


def inline_files(
    page: str, made: Mapping[str, bytes], folder: Location, limit_bytes: int
) -> tuple[str, dict[str, bytes]]:
    """Replace links of pictures and sounds by their content, as long as the page has room.

    Pictures come first, then the folder's own sounds, then the others, each in the page's order.

    Args:
        page: HTML text.
        made: Files that the page links and that do not exist yet, by link.
        folder: Folder of the page, which has the other files; its WAV files are compressed.
        limit_bytes: Largest size of the page with files in it.

    Returns:
        The page, and those of `made` that it links still.
    """
    links = Counter(_SOURCE.findall(page))
    left, addresses = limit_bytes - len(page.encode()), {}
    for link in sorted(links, key=lambda link: (link.endswith((".mp3", ".wav")), link in made)):
        address = _address(link, made, folder) if left > 0 else None
        if address is not None and len(address) * links[link] <= left:
            left -= len(address) * links[link]
            addresses[link] = address
    text = _SOURCE.sub(lambda found: f'src="{addresses.get(found[1], found[1])}"', page)
    return text, {link: made[link] for link in links if link in made and link not in addresses}


def _address(link: str, made: Mapping[str, bytes], folder: Location) -> str | None:
    """Return a file's content as a data URI; None if there is no such file, or it is broken."""
    content, suffix = made.get(link), PurePosixPath(link).suffix
    if content is None:
        file = folder / unquote(link)
        if suffix not in (*_TYPES, ".wav") or not file.is_file():
            return None
        content = file.read_bytes()
    if suffix == ".wav":
        try:
            content, suffix = encode_mp3(*soundfile.read(io.BytesIO(content))), ".mp3"
        except soundfile.LibsndfileError:
            return None
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode()}"
