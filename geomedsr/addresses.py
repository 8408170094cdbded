"""Addresses for display: without user, password and query, which may contain a signature or a token."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

#: The user and the password of an address, up to their @.
_USER = re.compile(r"(?<=://)[^\s/?#\"]*@")

#: The query or fragment of an address in a text. It ends at the next space or quotation mark, before punctuation that
#: ends a sentence. GDAL's paths may contain their address in such a query.
_QUERY = re.compile(r"((?:[a-z][a-z0-9+.-]*:/|/vsi[a-z0-9_]+)[^\s?#\"]*)[?#][^\s\"]*?(?=[,;:.)'\]]*(?:[\s\"]|$))", re.I)

#: Keywords of connections and headers whose values are secrets.
_SECRET = re.compile(
    r"\b((?:[a-z0-9_-]*(?:password|passwd|secret|signature|token|credential|api_?key|access_?key)[a-z0-9_-]*|pwd|sig)"
    r"\s*=\s*|authorization\s*[:=]\s*(?:bearer|basic)?\s*)[^\s&\"',;]+",
    re.I,
)


#: Endings of local file names.
_NAMED = re.compile(
    r"\.(?:tiff?|png|jpe?g|jp2|vrt|nc4?|h5|hdf|img|grib2?|grb2?|zarr|npy|npz|dcm|nii|nrrd|mh[ad]|mg[hz]|(?:geo)?json|zip|gz"
    r"|html|csv|onnx|safetensors|ya?ml)$",
    re.I,
)

#: Prefixes of GDAL's connections to servers.
_SERVER = re.compile(r"\b(?:PG|MySQL|MSSQL|OCI|HANA|ODBC|MongoDB\w*|EEDAI?):", re.I)

#: Parts of addresses in use that libraries show as file names, and their public form; the oldest are dropped.
_concealed: dict[str, str] = {}
_MOST = 10_000


def conceal(path: str) -> None:
    """Register an address, so that it is recognised if a library shows only a part of it, as GDAL does."""
    if is_public(path):
        return
    name, mark, query = path.rpartition("/")[2].partition("?")
    if mark or len(name) >= 8:  # a short name without a query is no secret, and may occur in any text
        _concealed[f"{name}{mark}{query}"] = f"{name}?…" if mark else "…"
    while len(_concealed) > _MOST:
        del _concealed[next(iter(_concealed))]


def public(text: str) -> str:
    """A text with the public form of every address in it; queries are shown as ``?…``."""
    if "://" in text or "/vsi" in text or "=" in text or ":/" in text:
        text = _SECRET.sub(_hidden, _QUERY.sub(r"\1?…", _USER.sub("", text)))
    for piece, shown in list(_concealed.items()):
        text = text.replace(piece, shown)
    return text


def _hidden(found: re.Match[str]) -> str:
    """A secret's keyword without its value; unchanged if it is part of a local path, such as ``token=5.tif``."""
    before, after = found.string[: found.start()], found.string[found.end() :]
    lead, rest = re.split(r"[\s\"']", before)[-1], re.split(r"[\s\"',;)]", after)[0]
    whole = f"{lead}{found[0]}{rest}"
    address = "=" not in found[0] or " " in found[0] or re.search(r"[a-z][a-z0-9+.-]+:|/vsi|[?&]", lead, re.I)
    local = re.search(r"[/\\]", lead) or _NAMED.search(whole.rstrip(".:"))
    return found[0] if local and not (address or _SERVER.search(before)) else f"{found[1]}…"


def file_name(path: str) -> str:
    """The last part of a path or an address: the file name, without a query."""
    if re.match(r"/vsi[a-z0-9_]+\?", path, re.I):  # GDAL's options, one of which is the address
        path = parse_qs(path.split("?", 1)[1]).get("url", [path])[0]
    address = "://" in path or path.startswith("/vsi")
    if address and '"' not in path:  # the whole query, whatever it contains
        path = re.split(r"[?#]", path, maxsplit=1)[0]
    shown = public(path).replace("?…", "")
    return re.split(r"[/\\]", shown.rstrip("/"))[-1]


def is_public(text: str) -> bool:
    """Whether a text contains nothing that must be hidden."""
    return public(text) == text
