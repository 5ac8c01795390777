"""Are the static files served under names that change with their content, and are they what we vendored?"""

from __future__ import annotations

import re

import pytest

from zendesk import assets
from zendesk.assets import asset, asset_url, integrity

NAMES = ["app.css", "htmx.min.js", "sidebar.js"]


@pytest.mark.parametrize("name", NAMES)
def test_an_address_leads_back_to_the_bytes(name: str) -> None:
    hashed = asset_url(name).removeprefix("/static/")
    found, media_type = asset(hashed)
    assert found == assets.content(name)
    assert media_type.startswith("text/")


@pytest.mark.parametrize(
    "name",
    ["app.css", "app.000000000000.css", "../view.000000000000.py", "nope.3f9c0a1b2c4d.css", "", "app.css.css", "a/b"],
)
def test_another_name_or_version_is_not_served(name: str) -> None:
    with pytest.raises(KeyError):
        asset(name)


def test_htmx_is_the_published_file_of_version_4_0_1() -> None:
    published = "sha384-Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"
    assert integrity("htmx.min.js") == published


@pytest.mark.parametrize("name", ["htmx.LICENSE.txt", "garden.LICENSE.txt"])
def test_vendored_parts_keep_their_licence(name: str) -> None:
    assert len(assets.content(name)) > 400


def test_our_script_evaluates_nothing() -> None:
    source = assets.content("sidebar.js").decode()
    assert not re.search(r"\beval\(|new Function|innerHTML|document\.write|localStorage|cookie", source)


def test_the_style_sheet_loads_nothing_from_elsewhere() -> None:
    assert not re.search(r"@import|url\(", assets.content("app.css").decode())


def test_every_icon_and_mark_that_the_templates_use_is_in_the_sprite() -> None:
    drawn = set(re.findall(r'id="([im]-[a-z0-9]+|hatch)"', str(assets.sprite())))
    folder = assets.resources.files("zendesk").joinpath("templates")
    source = "".join(one.read_text() for one in folder.iterdir() if one.name.endswith(".html"))
    wanted = {f"i-{name}" for name in re.findall(r"icon\('([a-z]+)'\)", source)}
    wanted |= {f"i-{name}12" for name in re.findall(r"small\('([a-z]+)'\)", source)}
    assert wanted <= drawn
    assert {"m-paid", "m-fail", "m-back", "m-disp", "m-next", "m-end", "hatch"} <= drawn
