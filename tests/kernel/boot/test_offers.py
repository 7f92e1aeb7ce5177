"""Kinds of offer that plugins define for each other: found by name, their settings validated, clashes and what waits told."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import Struct

from support.distributions import Site
from switchgear import Offer
from switchgear.cli import main
from switchgear.errors import BootError, PluginError
from switchgear.testing.context import PluginContext

TAKER = """
    from switchgear import Offer, OfferKind

    class P(switchgear.Plugin):
        api = 1
        defines = (OfferKind("exporters", str, "Write records somewhere"),)
"""
BRINGER = """
    import msgspec
    from switchgear import Offer

    class Settings(msgspec.Struct, forbid_unknown_fields=True):
        width: int = 80

    class P(switchgear.Plugin):
        api = 1
        def switchgear_offers(self):
            return [Offer("csv", lambda settings: f"csv {settings.width}", Settings, kind="exporters")]
"""
SCORER = """
    from switchgear import Offer

    class Strict:
        def __init__(self, settings): ...
        async def score(self, query, document): return 0.0, "No."

    class P(switchgear.Plugin):
        api = 1
        def switchgear_scorers(self):
            return [Offer("strict", Strict)]
"""


def context(kernel: Any, plugin: str) -> Any:
    return next(it.context for it in kernel.plugins if it.installed.name == plugin)


def test_an_offer_is_found_by_kind_and_name(kernel: Any, site: Site) -> None:
    site.add("taker", {"taker": "P"}, TAKER)
    site.add("bringer", {"bringer": "P"}, BRINGER)
    made = kernel("taker", "bringer")
    made.boot()
    found = context(made, "taker").offers("exporters")
    assert ["csv"] == list(found)
    assert "bringer" == found["csv"].plugin
    assert "csv 80" == found["csv"].make()
    assert "csv 7" == found["csv"].make({"width": 7})
    assert ["/settings/width"] == [it.pointer for it in found["csv"].problems({"width": "x"})]
    assert ["/of/widht"] == [it.pointer for it in found["csv"].problems({"widht": 7}, "/of")]
    with pytest.raises(ValueError, match=r"the settings of `csv`: /width: "):
        found["csv"].make({"width": "x"})
    assert {"exporters": ["csv"]} == made.registry.brought_by("bringer")
    assert [] == [it for it in made.warnings if "waiting" in it]


def test_what_nobody_defines_cannot_be_asked_for(kernel: Any, site: Site) -> None:
    site.add("bringer", {"bringer": "P"}, BRINGER)
    made = kernel("bringer")
    made.boot()
    with pytest.raises(PluginError, match=r"asks for offers of the kind `exporters`, which no enabled plugin defines"):
        context(made, "bringer").offers("exporters")


@pytest.mark.parametrize(
    ("source", "name", "kind"),
    [(BRINGER, "csv", "exporters"), (SCORER, "strict", "scorers")],
    ids=["defined", "declared"],
)
def test_what_nobody_takes_is_told_as_waiting(kernel: Any, site: Site, source: str, name: str, kind: str) -> None:
    site.add("bringer", {"bringer": "P"}, source)
    made = kernel("bringer")
    made.boot()
    [told] = [it for it in made.warnings if "waiting" in it]
    assert f"plugin `bringer` of bringer offers `{name}` to the {kind}, and no enabled plugin takes these" in told
    assert [(kind, name)] == [(waits, bound.item.name) for waits, bound in made.registry.waiting()]


def test_plugins_list_and_config_check_tell_what_waits(site: Site, tmp_path: Path) -> None:
    site.add("bringer", {"bringer": "P"}, BRINGER)
    file = tmp_path / "plugins.toml"
    file.write_text("[plugins.bringer]\nenabled = true\n")
    run = partial(CliRunner().invoke, main)
    listed = json.loads(run(["plugins", "list", "--json", "--config", str(file)]).stdout)["plugins"]
    [row] = [it for it in listed if it["name"] == "bringer"]
    assert ({"exporters": ["csv"]}, ["exporters"]) == (row["brings"], row["waiting"])
    assert "exporters: csv (waiting)" in run(["plugins", "list", "--config", str(file)]).output
    told = json.loads(run(["config", "check", "--json", "--config", str(file)]).stdout)["warnings"]
    assert 1 == sum("waiting" in it for it in told)


def test_several_may_take_what_the_kernel_declares(kernel: Any, site: Site) -> None:
    for name in ("one", "two"):
        site.add(name, {name: "P"}, TAKER.replace("exporters", "scorers"))
    site.add("bringer", {"bringer": "P"}, SCORER)
    made = kernel("one", "two", "bringer")
    made.boot()
    made_by = [context(made, name).offers("scorers")["strict"].make() for name in ("one", "two")]
    assert ["Strict"] * 2 == [type(it).__name__ for it in made_by]
    assert [] == made.registry.waiting()


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        (TAKER, TAKER, "plugin `one` of one and plugin `two` of two both define the kind of offer `exporters`"),
        (BRINGER, BRINGER, "plugin `two` of two and plugin `one` of one both bring `csv` to the exporters"),
        (
            TAKER.replace("exporters", "policies"),
            TAKER,
            "defines the kind of offer `policies`, which is a hook of the kernel",
        ),
        (TAKER.replace("exporters", "My Own"), TAKER, "defines the kind of offer `My Own`, which will not do"),
        (BRINGER.replace(', kind="exporters"', ""), TAKER, "brings `csv` to `switchgear_offers` without a kind"),
        (
            BRINGER.replace("switchgear_offers", "switchgear_stores"),
            TAKER,
            "brings `csv` with a kind to `switchgear_stores`",
        ),
        (TAKER.replace('OfferKind("exporters", str, "Write records somewhere")', "1"), TAKER, "`defines` holds 1"),
    ],
    ids=["kind", "name", "hook", "word", "without", "elsewhere", "number"],
)
def test_what_clashes_or_is_wrong_refuses_to_boot(kernel: Any, site: Site, one: str, two: str, why: str) -> None:
    site.add("one", {"one": "P"}, one)
    site.add("two", {"two": "P"}, two)
    with pytest.raises(BootError) as caught:
        kernel("one", "two").boot()
    assert why in str(caught.value)


def test_offers_can_be_given_to_a_plugin_under_test(tmp_path: Any) -> None:
    class Settings(Struct):
        width: int = 3

    offer = Offer("csv", lambda settings: settings.width, Settings, kind="exporters")
    lent = PluginContext("taker", tmp_path, offers=[offer])
    assert 3 == lent.offers("exporters")["csv"].make()
    assert {} == lent.offers("others")
