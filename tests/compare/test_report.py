"""The report as its readers find it in the bucket: whole, honest, inert."""

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.compare import STEP
from tasks.compare.summary import Summary
from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.headline import read_headlines
from tasks.contract.photos import Refusal
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tasks.contract.training import Epoch, Predictions
from tasks.train.metrics import metrics_of
from tests.compare.world import World

pytestmark = pytest.mark.store
Read = Callable[[str], Any]
CURVES = ("scratch-accuracy", "scratch-loss", "transfer-accuracy", "transfer-loss")
FIGURES = (
    *CURVES,
    "both-by-epoch",
    "both-by-time",
    "scratch-confusion",
    "transfer-confusion",
    "scratch-reliability",
    "transfer-reliability",
    "photo-sizes",
    "photo-shapes",
)
#: Thumbnails: of 24 photos that transfer alone gets right, 12, and so on.
THUMBNAILS = 12 + 3 + 3 + 6 + 12
PICTURES = tuple(f"{name}.png" for name in FIGURES)
DRAWINGS = tuple(f"{name}.svg" for name in FIGURES)
TABLES = (
    "side-by-side.csv",
    "classes.csv",
    "history.csv",
    "confused-pairs.csv",
    "earlier-runs.csv",
    "confusion-scratch.csv",
    "confusion-transfer.csv",
    "refused.csv",
    "across-classes.csv",
    "test-photos.csv",
)
SHEETS = ("contact-000.jpg", "contact-001.jpg", "contact-002.jpg", "contact-refused.jpg")
VOID = {"meta", "link", "img", "wbr", "br"}


class Page(HTMLParser):
    """A page's elements, refusing what HTML5 would have to mend."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.drawn
def test_every_file_is_published_with_the_right_content_type(
    world: World, store: Store, cache: Cache
) -> None:
    world.compare(store, cache)
    served = {
        head.key.removeprefix("reports/run-1/"): store._client.head_object(
            Bucket=store.bucket, Key=head.key
        )["ContentType"]
        for head in store.list("reports/run-1/")
    }
    assert served == {
        "index.html": "text/html; charset=utf-8",
        "report.md": "text/markdown; charset=utf-8",
        "summary.json": "application/json",
        "summary.schema.json": "application/json",
        **dict.fromkeys(TABLES, "text/csv; charset=utf-8"),
        **dict.fromkeys(PICTURES, "image/png"),
        **dict.fromkeys(DRAWINGS, "image/svg+xml"),
        **dict.fromkeys(SHEETS, "image/jpeg"),
    }


def test_the_page_is_published_last(
    world: World, store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    copy = store.copy

    def noted(source: str, target: str, content_type: str) -> None:
        copied.append(target)
        copy(source, target, content_type)

    monkeypatch.setattr(store, "copy", noted)
    world.compare(store, cache)
    assert len(copied) == 4 + len(TABLES) + 2 * len(FIGURES) + len(SHEETS)
    assert copied[-1] == "reports/run-1/index.html"


def test_a_cached_run_has_its_report_too(world: World, store: Store, cache: Cache) -> None:
    world.compare(store, cache)
    record = world.compare(store, cache, "run-2")
    assert record.cached
    first, second = (store.read(f"reports/run-{n}/index.html") for n in (1, 2))
    assert first is not None
    assert first == second


def test_the_facts_are_the_headline(world: World, store: Store, cache: Cache) -> None:
    facts = world.compare(store, cache).manifest.facts
    assert (facts["scratch_accuracy"], facts["transfer_accuracy"]) == (0.5, 0.9)
    assert facts["difference"] == pytest.approx(0.4)
    assert facts["difference_low"] < 0.4 < facts["difference_high"]
    assert facts["p_value"] < 0.05
    assert facts["test_photos"] == 60
    assert facts["verdict"] == "transfer is better"


def test_a_run_with_a_report_has_its_headline_listed(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    world.compare(store, cache, "run-2")
    listed = read_headlines(store, {})
    first, second = (listed[run_id].headline for run_id in ("run-1", "run-2"))
    assert first is not None
    assert second is not None
    assert (first.cached, second.cached, second.computed_by) == (False, True, "run-1")
    summary = read_report("summary.json")
    assert (first.archive, first.photos) == (
        summary["data"]["archive_key"],
        summary["data"]["kept"],
    )
    for arm in ("scratch", "transfer"):
        for end in ("", "_low", "_high"):
            told = getattr(first, f"{arm}_accuracy{end}")
            assert told == summary[arm]["test"][f"accuracy{end}"]
    assert first.weights == summary["transfer"]["weights"]["name"]
    assert (first.title, first.synthetic) == ("Fabricated", False)


def test_the_summary_keeps_its_own_schema(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    record = world.compare(store, cache)
    summary = Summary.model_validate_json(json.dumps(read_report("summary.json")))
    assert summary.version == 1
    assert summary.headline == record.manifest.facts
    assert summary.transfer.weights.sha256 == "b2" * 32
    assert sum(row.transfer_correct for row in summary.classes) == summary.transfer.test.correct
    assert len(summary.scratch.history) == 5
    assert summary.origin["train_scratch"].run_id == "run-1"
    schema = read_report("summary.schema.json")
    assert list(schema["properties"]) == list(read_report("summary.json"))
    assert "scratch_accuracy" in schema["required"]
    assert schema["additionalProperties"] is False


def test_page_and_markdown_and_summary_say_the_same_sentence(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    statement = read_report("summary.json")["statement"]
    assert statement in Page(read_report("index.html")).text
    assert statement in read_report("report.md")


def test_the_page_stands_alone_and_forbids_everything_else(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    html = read_report("index.html")
    page = Page(html)
    kinds = Counter(image["src"].partition(",")[0] for image in page.all("img"))
    assert kinds == {
        "data:image/png;base64": len(FIGURES),
        "data:image/jpeg;base64": 4 + THUMBNAILS,
    }
    published = {head.key.removeprefix("reports/run-1/") for head in store.list("reports/run-1/")}
    links = {link["href"] for link in page.all("a")}
    assert {*DRAWINGS, "refused.csv", "test-photos.csv"} <= links <= published
    assert {link["href"] for link in page.all("link")} == {"data:,"}
    assert len(page.all("style")) == 1
    assert not page.all("script")
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert not re.search(r"https?://|url\(|@import", html)
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
    assert policy["content"].startswith("default-src 'none'; img-src data:; style-src")


def test_the_page_is_accessible(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    assert page.all("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1
    assert all(lower - upper <= 1 for upper, lower in zip([0, *headings], headings, strict=False))
    assert all(heading.get("scope") in ("row", "col") for heading in page.all("th"))
    pictures = [image["alt"] for image in page.all("img")]
    assert all("After 5 epochs: training" in alt for alt in pictures[:4])
    assert all("Highest validation accuracy: transfer" in alt for alt in pictures[4:6])
    assert all("of 60 test photos lie on the diagonal" in alt for alt in pictures[6:8])
    assert all("Expected calibration error" in alt for alt in pictures[8:10])
    assert all(pictures)
    assert all(image["width"] and image["height"] for image in page.all("img"))
    identities = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(identities) == len(set(identities))
    named = {attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs}
    assert named <= set(identities)


def test_what_the_rules_say_of_each_training_stands_below_its_curves(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    summary = read_report("summary.json")
    text = Page(read_report("index.html")).text
    places = []
    for arm, heading in (("scratch", "From scratch"), ("transfer", "Transfer")):
        places.append(text.index(f"\n{heading}\n", text.index("Learning curves")))
        assert summary[arm]["statements"]
        places += [text.index(one["text"], places[-1]) for one in summary[arm]["statements"]]
    assert [*places, text.index("Both on one axis")] == sorted([*places, text.index("Both on one")])


HOSTILE = [
    '<script>alert("1")</script>',
    "a|b`c`*d*[e](javascript:f)\n# g",
    '"><img src=x onerror=alert(2)>\x01\u202egnp',
    "../../etc/passwd{{7*7}}",
]


@pytest.mark.drawn
def test_hostile_names_are_shown_and_never_run(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.classes = sorted(HOSTILE)
    world.dataset = {"name": HOSTILE[0], "synthetic": False, "note": "<iframe src=//x></iframe>"}
    world.refused_files = [
        Refusal(entry=name, class_name=name, reason="<b>bold</b>", detail=name) for name in HOSTILE
    ]
    world.compare(store, cache, title="</title><script>alert(3)</script>")
    page = Page(read_report("index.html"))
    assert not page.all("script")
    assert not page.all("iframe")
    assert not page.all("b")
    thumbnails = [image for image in page.all("img") if "title" in image]
    assert len(page.all("img")) - len(thumbnails) == len(FIGURES) + 4 + 1
    assert '<script>alert("1")</script>' in page.text
    assert "{{7*7}}" in page.text
    assert not {"\x01", "\u202e"} & set(page.text)

    markdown = read_report("report.md")
    assert not re.search(r"<(?!=)[a-z/]", markdown)
    row = next(line for line in markdown.splitlines() if line.startswith("| a"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert "](javascript" not in markdown.replace("\\]", "")


@pytest.mark.drawn
def test_synthetic_data_are_labelled_everywhere(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    real = {name: read_report(name) for name in (*PICTURES, *DRAWINGS)}
    assert "SYNTHETIC" not in read_report("index.html")

    world.dataset = {"name": "Drawn", "synthetic": True, "note": "drawn by a program"}
    world.compare(store, cache, force=True)
    page = Page(read_report("index.html"))
    assert page.text.lstrip().startswith("SYNTHETIC DATA")
    assert all("synthetic data" in image["alt"] for image in page.all("img"))
    assert read_report("report.md").splitlines()[2].startswith("> **SYNTHETIC DATA.**")
    assert read_report("summary.json")["synthetic"] is True
    assert all(read_report(name) != real[name] for name in real)  # their titles say it


def test_networks_that_the_photos_do_not_tell_apart_are_not_ranked(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.accuracy = {"scratch": 0.85, "transfer": 0.9}
    facts = world.compare(store, cache).manifest.facts
    assert facts["verdict"] == "not distinguishable"
    assert "are not distinguishable" in Page(read_report("index.html")).text


@pytest.mark.drawn
@pytest.mark.parametrize(("classes", "test_photos"), [(2, 3), (200, 3)])
def test_few_and_many_classes_with_few_photos_have_a_whole_report(
    world: World, store: Store, cache: Cache, read_report: Read, classes: int, test_photos: int
) -> None:
    world.classes = [f"class_{number:03}" for number in range(classes)]
    world.test_photos = test_photos
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    assert page.text.count("class_001") >= 3  # by recall, by split, and its sheet
    assert len(read_report("summary.json")["classes"]) == classes


@pytest.mark.drawn
def test_a_history_of_one_epoch_shows_its_markers(
    world: World, store: Store, cache: Cache, read_report: Read, tmp_path: Path
) -> None:
    world.epochs = 1
    world.compare(store, cache)
    for name in (f"{curve}.png" for curve in CURVES):
        (tmp_path / name).write_bytes(read_report(name))
        with Image.open(tmp_path / name) as image:
            box = image.convert("RGB").crop((0, 0, image.width, round(0.8 * image.height)))
            colours = {colour for _, colour in box.getcolors(1 << 24)}
        assert (217, 95, 2) in colours, name  # above the legend, which has both colours anyway
        assert (0, 104, 181) in colours, name
    assert "After 1 epoch:" in read_report("index.html")


@pytest.mark.drawn
def test_an_exploded_loss_does_not_stop_the_report(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    ordinary = {"accuracy": 0.5, "loss": 1.0, "val_accuracy": 0.5, "seconds": 1.0}
    world.history = lambda _arm, _epochs: [
        Epoch(val_loss=900.0, **ordinary),
        Epoch(val_loss=1.1, **ordinary),
    ]
    world.compare(store, cache)
    assert "validation 1.10" in read_report("report.md").replace("\u00a0", " ")


def test_an_arm_without_measurements_is_not_measured(
    world: World, store: Store, cache: Cache, read_report: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config()
    world.publish("run-1", store, cache, config)
    key = "runs/run-1/train_scratch.json"
    record = json.loads(store.read(key) or b"")
    record["manifest"]["measurements"] = {}
    store.write(key, json.dumps(record).encode())
    run_step(STEP, config, "run-1", store, cache)
    assert "not measured" in Page(read_report("index.html")).text
    assert "unknown device" in read_report("summary.json")["statement"]


def test_a_training_that_was_interrupted_says_so_beside_its_times(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    config = Config()
    world.publish("run-1", store, cache, config)
    key = "runs/run-1/train_scratch.json"
    record = json.loads(store.read(key) or b"")
    record["manifest"]["measurements"] |= {"resumed": 2, "seconds": 42.0}
    store.write(key, json.dumps(record).encode())
    run_step(STEP, config, "run-1", store, cache)
    text = Page(read_report("index.html")).text
    assert "2 times" in text
    assert "42 s (the last process)" in text.replace("\u00a0", " ")
    assert "12 min 40 s (all 3 processes)" in text.replace("\u00a0", " ")
    markdown = read_report("report.md").replace("\u00a0", " ")
    assert "| 2 times | – |" in markdown
    assert "| 42 s (the last process) |" in markdown
    assert "8 groups of near duplicates each stayed within one split." in markdown


def test_features_of_an_earlier_run_explain_a_training_longer_than_its_step(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.publish("run-1", store, cache, Config())
    key = "runs/run-1/train_transfer.json"
    record = json.loads(store.read(key) or b"")
    record["manifest"]["measurements"] |= {"shared_seconds": 30.0, "seconds": 9.0}
    store.write(key, json.dumps(record).encode())
    run_step(STEP, Config(), "run-1", store, cache)
    for text in (Page(read_report("index.html")).text, read_report("report.md")):
        text = text.replace("\u00a0", " ")
        assert "41 s (30 s of it in an earlier run)" in text
        assert "9.0 s (without what an earlier run did)" in text


def on_small_photos(step: str, made: dict[str, Any]) -> dict[str, Any]:
    """From scratch, the first three of five epochs are on photos of 16 pixels."""
    early = {"early_epochs": 3, "early_side": 16}
    return made | early if step == "train_scratch" else made


@pytest.mark.drawn
def test_epochs_on_small_photos_are_told_and_marked(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    curves = (*CURVES, "both-by-epoch", "both-by-time")
    without = {name: read_report(f"{name}.png") for name in curves}
    told = ("5, the first 3 on photos of 16 pixels", "thin vertical line")
    texts = {"index.html": lambda html: Page(html).text, "report.md": lambda markdown: markdown}
    for file, read in texts.items():
        assert not any(said in read(read_report(file)) for said in told)

    world.facts = on_small_photos
    world.compare(store, cache, force=True)
    for file, read in texts.items():
        assert all(said in read(read_report(file)) for said in told)
    scratch = read_report("summary.json")["scratch"]
    assert (scratch["early_epochs"], scratch["early_side"]) == (3, 16)
    marked = {name for name in curves if read_report(f"{name}.png") != without[name]}
    assert marked == set(curves) - {"transfer-accuracy", "transfer-loss"}


def test_a_training_that_ended_on_small_photos_has_no_border(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.epochs, world.facts = 2, on_small_photos
    world.compare(store, cache)
    text = Page(read_report("index.html")).text
    assert "2, all on photos of 16 pixels" in text
    assert "thin vertical line" not in text


def test_an_option_that_was_left_empty_has_the_value_that_was_used(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    def facts(step: str, made: dict[str, Any]) -> dict[str, Any]:
        recipes = {
            "train_scratch": {"name": "tuned", "epochs": 40, "batch_size": 16},
            "train_transfer": {"name": "tuned", "batch_size": 16, "fine_tune_epochs": 0},
        }
        return made | ({"recipe": recipes[step]} if step in recipes else {})

    world.facts = facts
    world.compare(store, cache, transfer_epochs=7)
    markdown = read_report("report.md")
    for option, value in (
        ("scratch\\_epochs", "40 (as the recipe)"),
        ("transfer\\_epochs", "7"),
        ("batch\\_size", "16 (as the recipe)"),
        ("fine\\_tune\\_epochs", "0 (as the recipe)"),
        ("feature\\_views", "as the recipe"),  # of a step that did not state it
        ("deterministic", "false"),
        ("title", "(empty)"),
    ):
        assert f"| {option} | {value} |" in markdown
    assert "None" not in Page(read_report("index.html")).text
    origin = read_report("summary.json")["origin"]["train_scratch"]
    assert origin["options"]["scratch_epochs"] is None
    assert origin["from_recipe"] == {"batch_size": 16, "scratch_epochs": 40}


def test_a_kind_of_photo_that_does_not_occur_is_said_not_to(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.accuracy = {"scratch": 0.5, "transfer": 1.0}
    world.compare(store, cache)
    text = Page(read_report("index.html")).text
    _, _, after = text.partition("Only the one from scratch is right 0 photos")
    assert after.strip().startswith("There is no such photo.")


@pytest.mark.drawn
def test_one_test_photo_is_told_of_in_the_singular(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.classes, world.test_photos = ["bear", "elk"], 1
    world.photo = lambda made: made if made.label else made.model_copy(update={"split": "train"})
    world.predictions = lambda _arm, made: Predictions(
        made.photos[made.labels == 1],
        made.labels[made.labels == 1],
        made.probabilities[made.labels == 1],
    )
    world.metrics = lambda arm, _: metrics_of(
        world.predictions(arm, world._predictions(arm)), world.classes
    )
    world.accuracy = {"scratch": 1.0, "transfer": 1.0}
    world.compare(store, cache)
    page = Page(read_report("index.html"))
    told = page.text + " ".join(str(image["alt"]) for image in page.all("img"))
    told = told.replace("\u00a0", " ")
    assert "On the only test photo" in told
    assert "1 of 1 test photo lies on the diagonal" in told
    assert not re.search(r"(?<![\d.,/])1 (test )?(photos|bins|classes|groups|files|epochs)", told)


def test_a_learning_rate_has_a_highest_value_only_if_it_changes(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    def facts(step: str, made: dict[str, Any]) -> dict[str, Any]:
        return (
            made | {"recipe": {"name": "tuned", "warm_up_epochs": 2}} if "scratch" in step else made
        )

    world.facts = facts
    world.compare(store, cache)
    row = "| Optimizer | Adam, learning rate up to 0.001 | Adam, learning rate 0.001 |"
    assert row in read_report("report.md")
    text = Page(read_report("index.html")).text
    assert "Adam, learning rate up to 0.001Adam, learning rate 0.001" in text


def test_the_archive_is_named_as_it_was_fetched_and_a_new_name_computes_nothing(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache, archive="datasets/first.zip")
    assert read_report("summary.json")["data"]["archive_key"] == "datasets/first.zip"
    told = "datasets/first.zip, as run run-1 fetched it: 350.1 MB, SHA-256 a1a1"
    assert told in Page(read_report("index.html")).text.replace("\u00a0", " ")
    assert told in read_report("report.md").replace("\u00a0", " ")
    assert world.compare(store, cache, "run-2", archive="datasets/renamed.zip").cached


def test_every_step_tells_its_run_revision_image_and_versions(
    world: World, store: Store, cache: Cache, read_report: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_REVISION", "0123abc")
    monkeypatch.setenv("WILDLIFE_IMAGE", "wildlife@sha256:" + "f0" * 32)
    world.compare(store, cache)
    origin = read_report("summary.json")["origin"]
    assert list(origin) == [*STEP.inputs, "compare"]
    text = Page(read_report("index.html")).text
    for told in ("0123abc", "wildlife@sha256:" + "f0" * 32):
        assert text.count(told) == 6
    assert all(fact in text for step in origin.values() for fact in step["produced_by"].values())
