"""Small JSON documents, from this machine or by HTTP, and what the references in them point to."""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.error
import urllib.request
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from geomedsr.errors import InputError

#: A document that is longer is none of an item.
_MOST = 64 << 20

#: Seconds to wait for an answer.
_PATIENCE = 60

_FAR = re.compile(r"https?://", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|/vsi", re.IGNORECASE)


def is_far(path: str) -> bool:
    """Whether a path is an address of HTTP."""
    return _FAR.match(path) is not None


def document(path: str) -> Any:
    """The content of a JSON document.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    content = _fetched(path) if is_far(path) else _local(path)
    if len(content) > _MOST:
        raise InputError(f"{path}, longer than {_MOST >> 20} MiB", "a small JSON document", "check it")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:80]
        raise InputError(f"{path}, which is no JSON ({why})", "a whole JSON document", "download it again") from error


def _local(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST + 1)
    except OSError as error:
        raise InputError(f"{path} ({error.strerror})", "a file that can be read", "check the path") from error


@lru_cache(maxsize=8)
def _fetched(address: str) -> bytes:
    parts = urlsplit(address)
    headers = {"Accept": "application/geo+json, application/json", "User-Agent": "geomedsr"}
    user, at, host = parts.netloc.rpartition("@")
    if at:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
        parts = parts._replace(netloc=host)
    try:
        request = urllib.request.Request(urlunsplit(parts), headers=headers)
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            content: bytes = answer.read(_MOST + 1)
    except urllib.error.HTTPError as error:
        with error:
            why = f"{error.code} {error.reason}"
    except (OSError, ValueError) as error:
        why = " ".join(str(getattr(error, "reason", error)).split())[:120]
    else:
        return content
    # Not from the error: its text may hold the address, and that a signature.
    raise InputError(f"{address} ({why})", "an address that answers", "check it, or the network")


def pointed(base: str, reference: str) -> str:
    """What a reference in a document at ``base`` points to, as GDAL takes it: an address, or a path of this machine."""
    if reference.lower().startswith("file://"):
        return unquote(urlsplit(reference).path)
    if _ADDRESS.match(reference):
        return reference
    if is_far(base):
        return urljoin(base, reference)
    folder = os.path.dirname(os.path.abspath(base))
    literal, meant = (os.path.normpath(os.path.join(folder, text)) for text in (reference, unquote(reference)))
    return literal if os.path.exists(literal) else meant
