"""`switchgear test`: test cases run from a terminal, or in CI."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from switchgear.commands import Local, answer, config_option, gateway_flags, json_option, local
from switchgear_plugins.test_cases.junit import junit
from switchgear_plugins.test_cases.results import ResultRecord, Variant, totals
from switchgear_plugins.test_cases.runner import PLAIN, By, RunAsked, Runner

_MARKS = {"passed": "ok  ", "failed": "FAIL", "error": "ERR "}


@click.group()
def test() -> None:
    """Run test cases."""


@test.command()
@click.argument("ids", nargs=-1)
@click.option("--tag", "tags", multiple=True, help="Only cases with this tag; may be given again for others.")
@click.option(
    "--model", "models", multiple=True, help="Another model than the cases name; given again, they are compared."
)
@click.option("--junit", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file.")
@config_option
@gateway_flags("data_dir")
@json_option
def run(
    *,
    ids: tuple[str, ...],
    tags: tuple[str, ...],
    models: tuple[str, ...],
    file: Path | None,
    path: Path | None,
    flags: dict[str, str],
    as_json: bool,
) -> None:
    """Run the test cases IDS, or all that are enabled. Calls are made and paid for; results are kept with those of the gateway.

    Exits with 0 if all passed, 1 if any did not, 2 if there is nothing to run.
    """

    async def work(it: Local) -> list[ResultRecord]:
        plugin = it.plugins["test_cases"]
        runner = Runner(plugin.context, plugin.settings)
        variants = [Variant(model, model=model) for model in models] or list(PLAIN)
        chosen = runner.chosen(ids, tags)
        if not chosen:
            return []
        runner.check(chosen, variants)
        ambient = plugin.context.ambient
        asked = RunAsked(chosen, variants, By.of(it.by))
        return await runner.run(f"run_{ambient.new_id()}", ambient.now_us(), asked, _nothing)

    results = local(path, flags, work)
    if file is not None:
        file.write_text(junit(results), encoding="utf-8")
    if as_json:
        answer({"totals": totals(results), "results": msgspec.to_builtins(results)})
    else:
        for line in _lines(results):
            click.echo(line)
    if not results:
        click.echo("There is no such test case that is enabled.", err=True)
    code = 0 if all(it.status == "passed" for it in results) else 1
    click.get_current_context().exit(code if results else 2)


async def _nothing(done: int, total: int) -> None:
    """Say nothing of the progress."""


def _lines(results: Sequence[ResultRecord]) -> Iterator[str]:
    for it in results:
        change = "" if it.change in {"new", "same"} else f" ({it.change})"
        yield f"{_MARKS[it.status]} {it.case} [{it.subject}] {it.latency_ms} ms{change}"
        yield from (f"       {verdict.type}: {verdict.detail}" for verdict in it.verdicts if not verdict.passed)
        if it.error is not None:
            yield f"       {it.error}"
    if results:
        found = totals(results)
        yield f"{found['passed']} passed, {found['failed']} failed, {found['errors']} without an answer"
