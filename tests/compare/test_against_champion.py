"""The section on the champion: without one, with one, and with one that cannot be compared."""

import json
import re
from collections.abc import Callable

import pytest

from tasks.champion import promote_step
from tasks.contract.cache import Cache
from tasks.contract.champion import read_champions
from tasks.contract.config import Config
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tests.compare.world import World, told

pytestmark = pytest.mark.store
Section = Callable[[str], str]
FORCED = Config(force=True)  # a world's results are not found in the place of another's


@pytest.fixture
def section(store: Store) -> Section:
    """The section's words on a run's page, after checking that the Markdown has the same."""

    def read(run_id: str) -> str:
        page, markdown = (
            (store.read(f"reports/{run_id}/{name}") or b"").decode()
            for name in ("index.html", "report.md")
        )
        html = page.partition('<section aria-labelledby="champion">')[2].partition("</section>")[0]
        text = markdown.partition("## Against the champion")[2].partition("\n## ")[0]
        text = text.replace("\\", "").replace("`", "")
        said = re.findall(r"<p[^>]*>(.*?)</p>", html)
        assert len(said) >= 2
        assert all(re.sub(r"<[^>]*>", "", paragraph) in text for paragraph in said)
        return " ".join(re.sub(r"<wbr>|(<[^>]*>)", lambda tag: " " * bool(tag[1]), html).split())

    return read


@pytest.fixture
def promoted(store: Store, cache: Cache) -> Callable[[World], None]:
    """Make a world's better network the champion, in run-1."""

    def promote(made: World) -> None:
        made.publish("run-1", store, cache, FORCED)
        run_step(promote_step(told), FORCED, "run-1", store, cache)
        assert read_champions(store)[0].current is not None

    return promote


def test_without_a_champion_the_report_says_so(
    store: Store, cache: Cache, section: Section
) -> None:
    World().compare(store, cache, "run-1")
    words = section("run-1")
    assert (
        "By the rule “not worse” the better network of this run, transfer, is to be the champion: "
        "there is no champion yet." in words
    )
    assert "Accuracy" not in words
    assert "The champion is" not in words


def test_both_numbers_the_verdict_and_what_is_left_out_are_told(
    store: Store, cache: Cache, promoted: Callable[[World], None], section: Section
) -> None:
    before = World(accuracy={"scratch": 0.3, "transfer": 0.5})
    seen = {photo.photo for photo in before.photos()[:6]}
    before.photo = lambda photo: photo.model_copy(
        update={"split": "train" if photo.photo in seen else "test"}
    )
    promoted(before)
    World(archive="b2").compare(store, cache, "run-2", force=True, promote="better")
    words = section("run-2")
    assert "By the rule “better”" in words
    assert "transfer, is to be the champion: better by the paired test." in words
    assert "On 54 test photos that neither has seen in training, the difference is +" in words
    assert "this run’s network is better. 6 of the 60 test photos are left out: 6 that" in words
    assert "The champion is train_transfer of run run-1, promoted 20" in words
    summary = json.loads(store.read("reports/run-2/summary.json") or b"")["against_champion"]
    duel = summary["duel"]
    for who, alone in (("challenger", "only_challenger"), ("champion", "only_champion")):
        right = duel["both"] + duel[alone]
        assert duel[f"{who}_accuracy"] == pytest.approx(right / 54)
        assert duel[f"{who}_low"] < right / 54 < duel[f"{who}_high"]
        assert f"{right} of 54" in words
    assert (summary["newer"], summary["promotes"], summary["rule"]) == (True, True, "better")


def test_a_champion_that_cannot_be_compared_is_told(
    store: Store, cache: Cache, promoted: Callable[[World], None], section: Section
) -> None:
    before = World()
    before.facts = lambda _step, facts: facts | {"fit": "crop"} if "fit" in facts else facts
    promoted(before)
    World(archive="b2").compare(store, cache, "run-2", force=True)
    assert (
        "does not become the champion: the champion cannot be compared: it takes photos of another "
        "size or fit." in section("run-2")
    )
