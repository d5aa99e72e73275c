"""Page and Markdown list the runs in one table, and a figure shows how they went."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.colors import to_hex

from tasks.compare import accuracy_over_runs
from tasks.compare.accuracy_over_runs import draw_accuracy_over_runs
from tasks.compare.drawing import ARM_COLOURS, STYLE
from tasks.contract.cache import Cache
from tasks.contract.store import Store
from tests.compare.test_changes import run
from tests.compare.test_report import Page
from tests.compare.world import World

Read = Callable[[str], Any]
OTHER = {"archive_key": "datasets/b.zip", "archive_sha256": "c3" * 32}


def test_a_mark_is_hollow_if_its_run_was_of_another_archive(tmp_path: Path) -> None:
    runs = [run((72, 80)), run((60, 80), data=OTHER), run((48, 80))]
    with matplotlib.rc_context(STYLE):
        axes = accuracy_over_runs._draw(runs, "Title").axes[0]
    marks = [one for one in axes.collections if len(one.get_offsets()) == 3]
    transfer = marks[1]
    assert transfer.get_offsets()[:, 1].tolist() == [0.6, 0.75, 0.9]  # oldest first
    green = ARM_COLOURS["transfer"]
    assert [to_hex(one) for one in transfer.get_facecolors()] == [green, "#ffffff", green]
    file = draw_accuracy_over_runs(runs, synthetic=True, folder=tmp_path)
    assert "Hollow marks are of another archive" in file.caption
    assert file.alt.startswith("Test accuracy of both networks in 3 runs, synthetic data")
    assert "transfer 90.0 %" in file.alt.replace("\u00a0", " ")
    assert "Hollow" not in draw_accuracy_over_runs(runs[::2], False, tmp_path).caption


@pytest.mark.parametrize("count", [2, 8, 9, 31])
def test_dates_stand_below_as_many_runs_as_have_room_and_always_below_this_one(count: int) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [
        run().model_copy(update={"created": first + timedelta(days=day)})
        for day in reversed(range(count))
    ]
    with matplotlib.rc_context(STYLE):
        axes = accuracy_over_runs._draw(runs, "Title").axes[1]
    dates = [label.get_text() for label in axes.get_xticklabels()]
    assert len(dates) <= 8
    assert dates[-1] == f"{runs[0].created:%Y-%m-%d}"
    assert axes.get_xticks()[-1] == count - 1


@pytest.mark.store
def test_page_and_markdown_have_the_same_table_and_the_figure(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    assert not list(store.list("reports/run-1/accuracy-over-runs"))
    world.compare(store, cache, "run-0", title="Before", seed=7)
    world.compare(store, cache, "run-1", title="After")
    page, markdown = Page(read_report("index.html")), read_report("report.md")
    rows = [line for line in markdown.splitlines() if line.startswith("| run-")]
    assert [row.split()[1] for row in rows] == ["run-1", "run-0"]
    header = next(line for line in markdown.splitlines() if line.startswith("| Run, finished"))
    titles = [title.strip() for title in header.strip("|").split("|")]
    assert {"Image size", "Epochs (scratch, transfer)", "Seed"} <= set(titles)
    section = page.text[page.text.index("\nEarlier runs\n") :]
    assert "".join(titles) in section
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == len(titles)
        shown = "".join(cell.replace(" (", "").removesuffix(")") for cell in cells)
        assert shown in section
    assert "seed 7 → 20" in section
    assert "accuracy-over-runs.svg" in {link["href"] for link in page.all("a")}
    assert "](accuracy-over-runs.png)" in markdown
    alts = [image["alt"] or "" for image in page.all("img")]
    assert sum(alt.startswith("Test accuracy of both networks in 2 runs") for alt in alts) == 1
