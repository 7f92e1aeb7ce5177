"""Each way a plugin can be broken refuses to boot with the plugin's name, its distribution and the fix."""

from pathlib import Path

import pytest

from support.distributions import Site
from switchgear.errors import BootError

GOOD = """
    class Good(switchgear.Plugin):
        api = 1
"""


def refused(kernel, *enabled, **options) -> list[str]:
    with pytest.raises(BootError) as caught:
        kernel(*enabled, **options).boot()
    return list(caught.value.failures)


def says(failure: str, *parts: str) -> None:
    assert [] == [part for part in parts if part not in failure], failure


def test_a_plugin_that_is_not_installed_names_the_nearest_one_and_where_it_was_enabled(kernel, site: Site):
    site.add("acme-tools", {"translator": "Good"}, GOOD)
    (failure,) = refused(kernel, "transaltor")
    says(failure, "plugins.toml:5: [plugins.transaltor]", "`transaltor`", "Did you mean `translator`?", "pip install")


def test_a_missing_extra_says_which_to_install(kernel, site: Site):
    site.add("acme-tools", {"cloud_thing": "X"}, "import a_module_nobody_has", extras=("cloud-thing",))
    (failure,) = refused(kernel, "cloud_thing")
    says(
        failure,
        "plugin `cloud_thing` of acme-tools 1.0",
        "`a_module_nobody_has`",
        "pip install 'acme-tools[cloud-thing]'",
    )


def test_a_missing_module_without_an_extra_is_named(kernel, site: Site):
    site.add("acme-tools", {"thing": "X"}, "import a_module_nobody_has.inside")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "holds `a_module_nobody_has`")


def test_an_entry_point_to_a_module_that_is_not_there_asks_for_a_reinstall(kernel, site: Site):
    site.add("acme-tools", {"thing": "acme_lost.plugin:X"})
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "`acme_lost", "pip install --force-reinstall acme-tools")


def test_an_exception_while_importing_is_shown_with_file_and_line(kernel, site: Site):
    file = site.add("acme-tools", {"thing": "X"}, "raise RuntimeError('no licence')")
    (failure,) = refused(kernel, "thing")
    says(
        failure,
        "plugin `thing` of acme-tools 1.0",
        f"RuntimeError: no licence ({file}, line 2",
        "pip install --upgrade acme-tools",
    )


def test_a_syntax_error_is_shown_with_file_and_line(kernel, site: Site):
    file = site.add("acme-tools", {"thing": "X"}, "def broken(:\n    pass")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "SyntaxError", f"{file}, line 2")


def test_an_entry_point_to_a_missing_attribute_is_named(kernel, site: Site):
    site.add("acme-tools", {"thing": "Missing"})
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "acme_tools:Missing", "AttributeError")


def test_something_that_is_no_plugin_is_refused(kernel, site: Site):
    site.add("acme-tools", {"thing": "Thing"}, "class Thing: api = 1")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "acme_tools:Thing", "Derive it from")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("pass", ("does not say which plugin API", "Add `api = 1` to `P`")),
        ("api = 'one'", ("Add `api = 1`",)),
        ("api = True", ("Add `api = 1`",)),
        ("api = 2", ("plugin API 2", "speaks 1", "pip install --upgrade switchgear")),
        ("api = 0", ("plugin API 0", "pip install --upgrade acme-tools")),
        ("api = 1; requires = 'store'", ("`requires` is 'store'", '("store",)')),
        ("api = 1; after = [1]", ("`after` is [1]", "tuple of strings")),
        ("api = 1; settings_type = dict", ("`settings_type`", "msgspec.Struct")),
    ],
)
def test_a_wrong_declaration_says_what_to_write(kernel, site: Site, line: str, parts: tuple[str, ...]):
    site.add("acme-tools", {"thing": "P"}, f"class P(switchgear.Plugin): {line}")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", *parts)


def test_settings_with_a_field_of_the_kernels_are_refused(kernel, site: Site):
    site.add(
        "acme-tools",
        {"thing": "P"},
        """
        import msgspec
        class S(msgspec.Struct):
            enabled: bool = True
        class P(switchgear.Plugin):
            api = 1
            settings_type = S
        """,
    )
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "`enabled`", "Rename it")


def test_an_exception_while_making_the_plugin_is_shown(kernel, site: Site):
    source = """
    class P(switchgear.Plugin):
        api = 1
        def __init__(self, settings, context):
            raise ValueError("too late")
    """
    file = site.add("acme-tools", {"thing": "P"}, source)
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", f"ValueError: too late ({file}, line 6", "disable")


def test_two_distributions_with_one_plugin_name_are_both_named(kernel, site: Site):
    site.add("acme-tools", {"thing": "Good"}, GOOD)
    site.add("zenith", {"thing": "Good"}, GOOD, version="2.1")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing`", "acme-tools 1.0", "zenith 2.1", "pip uninstall")


def hooked(site: Site, distribution: str, name: str, body: str) -> Path:
    source = "from switchgear import Offer\nfrom support.stubs import stub\n"
    source += "from switchgear.contracts.counters import Counters\nfrom switchgear.contracts.store import Store\n"
    source += "from switchgear.contracts.policy import Policy\nfrom switchgear.contracts.resource import ResourceKind\n"
    source += f"class P(switchgear.Plugin):\n    api = 1\n    {body}\n"
    return site.add(distribution, {name: "P"}, source)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("def switchgear_provider(self): return []", ("`switchgear_provider`", "Did you mean `providers`?")),
        ("def switchgear_xyzzy(self): return []", ("`switchgear_xyzzy`", "The hooks stand in `switchgear.hooks`")),
        ("def switchgear_providers(self, config): return []", ("{'config'}", "no argument but `self`")),
        ("def switchgear_providers(self): return None", ("`switchgear_providers` returned", "list of `Offer`")),
        ("async def switchgear_providers(self): return []", ("`switchgear_providers`", "plain function")),
        ("def switchgear_providers(self): return ['x']", ("`switchgear_providers` returned 'x'", "`Offer`")),
        ("def switchgear_providers(self): return 'x'", ("`switchgear_providers` returned", "`Offer`")),
        ("def switchgear_resource_kinds(self): return [Offer('a', int)]", ("returned Offer(", "`ResourceKind`")),
        ("def switchgear_event_handlers(self): return [object()]", ("returned <object", "`EventHandler`")),
        ("def switchgear_providers(self): 1/0", ("`switchgear_providers` raised ZeroDivisionError", "line 10")),
        ("def switchgear_providers(self): yield 1/0", ("`switchgear_providers` raised ZeroDivisionError", "line 10")),
    ],
)
def test_a_broken_hook_is_named(kernel, site: Site, body: str, parts: tuple[str, ...]):
    hooked(site, "acme-tools", "thing", body)
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", *parts)


def test_one_broken_hook_does_not_hide_another(kernel, site: Site):
    hooked(site, "acme-tools", "one", "def switchgear_providers(self): 1/0")
    hooked(site, "zenith", "two", "def switchgear_providers(self): return [5]")
    one, two = refused(kernel, "one", "two")
    says(one, "plugin `one` of acme-tools")
    says(two, "plugin `two` of zenith")


@pytest.mark.parametrize(
    ("item", "hook", "thing"),
    [
        ("Offer('same', Policy)", "policies", "policies"),
        ("ResourceKind(name='same', title='Same', spec=switchgear.NoSettings)", "resource_kinds", "resource kinds"),
    ],
)
def test_two_plugins_that_bring_one_name_are_both_named(kernel, site: Site, item: str, hook: str, thing: str):
    hooked(site, "acme-tools", "one", f"def switchgear_{hook}(self): return [{item}]")
    hooked(site, "zenith", "two", f"def switchgear_{hook}(self): return [{item}]")
    (failure,) = refused(kernel, "one", "two")
    says(failure, "plugin `one` of acme-tools", "plugin `two` of zenith", f"`same` to the {thing}", "Disable one")


def test_two_stores_are_a_clash(kernel, site: Site):
    hooked(site, "acme-tools", "one", "def switchgear_stores(self): return [Offer('a', lambda: stub(Store))]")
    hooked(site, "zenith", "two", "def switchgear_stores(self): return [Offer('b', lambda: stub(Store))]")
    (failure,) = refused(kernel, "one", "two")
    says(failure, "several stores", "`a` (plugin `one` of acme-tools)", "`b` (plugin `two` of zenith)", "disable")


COUNTERS = "def switchgear_counters(self): return [Offer('{}', lambda: stub(Counters))]"


def test_two_counters_need_a_choice_and_the_choice_must_exist(kernel, site: Site):
    hooked(site, "acme-tools", "one", COUNTERS.format("local"))
    hooked(site, "zenith", "two", COUNTERS.format("shared"))
    (failure,) = refused(kernel, "one", "two")
    says(failure, "[gateway] counters", "`local` (plugin `one`", "`shared` (plugin `two`", "name one of them")
    (failure,) = refused(kernel, "one", "two", gateway="counters = 'sharde'")
    says(failure, "plugins.toml:3: [gateway] counters", "`sharde`", "Did you mean `shared`?")
    kernel("one", "two", gateway="counters = 'shared'").boot()


@pytest.mark.parametrize("kind", ["store", "counters", "sealer", "authenticator"])
def test_an_unmet_requirement_says_what_kind_of_plugin_to_enable(kernel, site: Site, kind: str):
    hooked(site, "acme-tools", "thing", f"requires = ('{kind}',)")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", f"requires `{kind}`", "Enable one that does")


def test_a_requirement_of_no_known_kind_is_refused(kernel, site: Site):
    hooked(site, "acme-tools", "thing", "requires = ('stroe',)")
    (failure,) = refused(kernel, "thing")
    says(failure, "plugin `thing` of acme-tools 1.0", "`stroe`", "Did you mean `store`?")


def test_a_cycle_is_reported_with_its_path(kernel, site: Site):
    hooked(site, "acme-tools", "one", "after = ('two',)")
    hooked(site, "zenith", "two", "after = ('three',)")
    hooked(site, "yard", "three", "after = ('one',)")
    (failure,) = refused(kernel, "one", "two", "three")
    assert any(
        path in failure for path in ("one after two after three after one", "two after three after one after two")
    )
    says(
        failure, "plugin `one` of acme-tools 1.0", "plugin `two` of zenith 1.0", "plugin `three` of yard 1.0", "`after`"
    )


def test_everything_wrong_before_binding_is_reported_in_one_run(kernel, site: Site):
    site.add("acme-tools", {"newer": "P"}, "class P(switchgear.Plugin): api = 9")
    site.add("zenith", {"broken": "X"}, "1/0")
    site.add("yard", {"good": "Good"}, GOOD)
    failures = refused(
        kernel, "newer", "broken", "absent", gateway="port = 'x'", toml="[plugins.good]\nenabled = true\ncolour = 1\n"
    )
    says("\n".join(failures), "[gateway] port", "`newer` of acme-tools", "`broken` of zenith", "`absent`", "colour")
    assert 5 == len(failures)


def test_a_plugin_that_is_not_enabled_is_never_imported(kernel, site: Site):
    site.add("zenith", {"broken": "X"}, "1/0")
    site.add("acme-tools", {"good": "Good"}, GOOD)
    made = kernel("good", toml="[plugins.broken]\nenabled = false\nanything = 1\n")
    made.boot()
    assert ["good"] == [item.installed.name for item in made.plugins]


def test_a_kernel_without_plugins_boots_and_says_so(kernel):
    made = kernel()
    made.boot()
    assert () == made.plugins
    (warning,) = made.warnings
    says(warning, "no plugin is enabled", "switchgear plugins enable")
