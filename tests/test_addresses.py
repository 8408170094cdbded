"""Addresses as they are shown."""

import pytest

from geomedsr.addresses import file_name, public
from geomedsr.errors import InputError, SceneWarning


@pytest.mark.parametrize(
    ("address", "shown", "name"),
    [
        ("http://host/a/x.tif?sv=1&sig=SECRET", "http://host/a/x.tif?…", "x.tif"),
        ("http://host/a/x.tif?sv=1&sig=SE//CRET/", "http://host/a/x.tif?…", "x.tif"),
        ("https://user:SECRET@host:80/x.tif", "https://host:80/x.tif", "x.tif"),
        ("/vsicurl/https://host/x.tif?token=SECRET", "/vsicurl/https://host/x.tif?…", "x.tif"),
        ("/vsicurl?header.X-Key=SECRET&url=http%3A%2F%2Fhost%2Fx.tif%3Fsig%3DSECRET", "/vsicurl?…", "x.tif"),
        ("s3://bucket/a/x.tif#SECRET", "s3://bucket/a/x.tif?…", "x.tif"),
        ("zip+https://host/a.zip?sig=SECRET!x.tif", "zip+https://host/a.zip?…", "a.zip"),
        ('NETCDF:"/vsicurl/http://host/a.nc?sig=SECRET":v', 'NETCDF:"/vsicurl/http://host/a.nc?…":v', 'a.nc":v'),
        ("PG:host=h user=u password=SECRET dbname=d", "PG:host=h user=u password=… dbname=d", None),
        ("/data/a?b@c=d/x.tif", "/data/a?b@c=d/x.tif", "x.tif"),
        ("token=5.tif", "token=5.tif", "token=5.tif"),
        ("/data/token=5/x.tif", "/data/token=5/x.tif", "x.tif"),
        ("data/secret=a", "data/secret=a", "secret=a"),
        ("C:\\data\\sig=7.TIF", "C:\\data\\sig=7.TIF", "sig=7.TIF"),
        ("https://host/token=SECRET/x.tif", "https://host/token=…", None),
        ("token=SECRET", "token=…", None),
        ("PG:host=h password=SECRET.tif", "PG:host=h password=…", None),
        ("C:\\data\\x.tif", "C:\\data\\x.tif", "x.tif"),
        ("https://host/tiles/a@2x.tif", "https://host/tiles/a@2x.tif", "a@2x.tif"),
    ],
)  # fmt: skip
def test_no_secret_is_shown(address: str, shown: str, name: str | None) -> None:
    assert public(address) == shown
    assert public(f"got {address}, expected") == f"got {shown}, expected"
    assert public(f"('{address}')") == f"('{shown}')"
    if name is not None:
        assert file_name(address) == name


def test_errors_and_warnings_show_none() -> None:
    url = "http://user:SECRET@host/x.tif?sig=SECRET"
    assert str(InputError(url, f"not {url}", "see")) == "got http://host/x.tif?…, expected not http://host/x.tif?…: see"
    assert "SECRET" not in repr(InputError(url, url, url))
    assert str(SceneWarning(f"{url} is odd")) == "http://host/x.tif?… is odd"
