"""A user's way through Airflow's page, in a real browser: trigger, watch, read, log out.

Over a real Airflow and a real store; the tests are one visit and follow one another.
"""

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from embedded.airflow import AirflowClient, start_airflow, stop_airflow
from embedded.bucket import choose_archive
from embedded.settings import Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.store import Store, StoreSettings
from tests.e2e.stack import stack_in
from tests.plugins.pages.published import publish

if TYPE_CHECKING:
    from tests.e2e.browser import Browser

pytestmark = pytest.mark.airflow

DAG = "/dags/oregon_wildlife"
FORM = "[data-testid=config-form]"
#: So many that the page is seen to change, and few enough that the test is not for long.
EPOCHS = 25


@pytest.fixture(scope="module")
def browser_kind() -> "type[Browser]":
    """Skip without a browser, before anything is started; where nobody would see that, fail."""
    give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    try:
        from tests.e2e.browser import CHROMIUM, DRIVER, Browser
    except ModuleNotFoundError as error:
        give_up(f"needs the package {error.name}")
    if CHROMIUM is None or DRIVER is None:
        give_up("needs Chromium and its driver: apt-get install chromium chromium-driver")
    return Browser


@pytest.fixture(scope="module")
def settings(
    browser_kind: "type[Browser]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """A stack of the tests' own, with the synthetic sample in its bucket."""
    settings = stack_in(tmp_path_factory.mktemp("home"))
    start_store(settings)
    try:
        choose_archive(store_of(settings), None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WILDLIFE_RETRY_SECONDS", "10")
            start_airflow(settings)
        yield settings
    finally:
        stop_airflow(settings)
        stop_store(settings)


@pytest.fixture(scope="module")
def browser(browser_kind: "type[Browser]", settings: Settings) -> Iterator["Browser"]:
    """Somebody who has logged in."""
    browser = browser_kind(settings.airflow_url)
    try:
        browser.open("/")
        browser.enter("username", "admin")
        browser.enter("password", AirflowClient(settings).password())
        browser.click("button[type=submit]")
        browser.find("a[href='/dags']")
        yield browser
    finally:
        browser.driver.quit()


def store_of(settings: Settings) -> Store:
    return Store(StoreSettings.from_environment(store_environment(settings)))


def runs(settings: Settings) -> list[dict[str, Any]]:
    """The DAG's runs in Airflow, the oldest first."""
    answer = AirflowClient(settings)._read(f"/api/v2{DAG}/dagRuns?order_by=run_after")
    found: list[dict[str, Any]] = answer["dag_runs"]
    return found


def kill_step(run_id: str, step: str) -> None:
    """End a step's process as the kernel does when memory runs out; its keeper stays."""
    found = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:6] == ["-m", "tasks", step, "--run-id", run_id]
    ]
    assert len(found) == 1, found
    os.kill(found[0], signal.SIGKILL)


def open_form(browser: "Browser") -> None:
    browser.open(DAG)
    browser.click("button", "Trigger")
    browser.find(FORM)


def submit(browser: "Browser") -> None:
    browser.click("[role=dialog] button", "Trigger")


def test_the_form_opens_with_what_a_run_needs_and_leads_to_the_archives(browser: "Browser") -> None:
    open_form(browser)
    told = browser.text(FORM)
    for title in ("Archive", "Recipe", "Epochs, from scratch", "Pretrained weights", "Recompute"):
        assert title in told.splitlines() or f"{title} *" in told
    assert "Seed" not in told.splitlines(), "that section is closed"
    browser.picture("form")
    page = browser.driver.current_window_handle
    browser.click(f"{FORM} a", "Archives in the bucket")
    browser.until(lambda: len(browser.driver.window_handles) > 1, "the page of archives")
    browser.driver.switch_to.window(browser.driver.window_handles[-1])
    assert browser.text("code.copyable") == "datasets/synthetic-sample.zip"
    browser.picture("archives")
    browser.driver.close()
    browser.driver.switch_to.window(page)


def test_the_form_refuses_what_cannot_be_meant(browser: "Browser", settings: Settings) -> None:
    open_form(browser)
    browser.enter("element_scratch_epochs", 5000)
    assert browser.find("[name=element_scratch_epochs]").get_attribute("value") == "1000"
    browser.enter("element_archive", "/etc/passwd")
    submit(browser)
    browser.until(
        lambda: "Bad Request" in browser.script("return document.body.innerText"), "a refusal"
    )
    assert runs(settings) == []


def test_a_run_is_triggered_from_the_form(browser: "Browser", settings: Settings) -> None:
    open_form(browser)
    browser.enter("element_archive", "datasets/synthetic-sample.zip")
    browser.enter("element_weights", "lite0")
    browser.enter("element_scratch_epochs", EPOCHS)
    browser.enter("element_transfer_epochs", 2)
    browser.click(f"{FORM} button", "Photos")
    browser.enter("element_image_size", 64)
    submit(browser)
    (run,) = browser.until(lambda: runs(settings), "the run")
    assert run["conf"]["image_size"] == 64
    assert run["conf"]["scratch_epochs"] == EPOCHS
    assert run["conf"]["scratch_learning_rate"] is None, "what the recipe says"


def test_the_progress_changes_by_itself_while_it_trains(
    browser: "Browser", settings: Settings
) -> None:
    (run,) = runs(settings)
    browser.open(f"{DAG}/runs/{run['dag_run_id']}")
    browser.click("a", "Progress")
    browser.enter_frame()
    browser.script("window.neverReloaded = true")
    line = "return document.querySelector(\"[data-line='{}.training']\").getAttribute('d')"
    accuracy = line.format("trainings.train_scratch.accuracy")
    browser.until(lambda: browser.script(accuracy), "the first epoch's dot", 480)
    before = browser.script(accuracy)
    figures = browser.text("[data-text='trainings.train_scratch.figures']")
    assert "photos/s" in figures
    browser.until(lambda: len(browser.script(accuracy)) > len(before), "more of the curve")
    assert "Train from scratch: " in browser.text("[data-text=headline]")
    browser.picture("progress")
    assert browser.script("return window.neverReloaded") is True


def test_a_store_that_is_away_is_said_and_forgotten_when_it_is_back(
    browser: "Browser", settings: Settings
) -> None:
    """The training itself goes on meanwhile."""
    browser.enter_frame()
    stop_store(settings)
    told = browser.find("#problem", seconds=90).text
    assert told.startswith("The bucket does not answer. No news since ")
    start_store(settings)
    browser.until(lambda: not browser.driver.find_element("id", "problem").is_displayed(), "news")
    assert browser.script("return window.neverReloaded") is True


def test_a_training_that_was_killed_is_said_and_seen_to_go_on_from_its_checkpoint(
    browser: "Browser", settings: Settings
) -> None:
    """As when the machine runs out of memory, or a worker dies: the page is open all the while."""
    (run,) = runs(settings)
    run_id = run["dag_run_id"]
    browser.enter_frame()
    store = store_of(settings)
    browser.until(lambda: any(store.list("checkpoints/train_scratch/")), "a checkpoint", 120)
    line = "return document.querySelector(\"[data-line='{}.training']\").getAttribute('d')"
    accuracy = line.format("trainings.train_scratch.accuracy")
    kill_step(run_id, "train_scratch")
    browser.until(
        lambda: browser.text("[data-text=headline]").endswith("failed, and is tried again."),
        "that it failed",
    )
    assert "is tried again soon" in browser.text("[data-text='steps.train_scratch.said']")
    before = browser.script(accuracy).count("L")
    assert before > 1, "its curve stays"
    browser.picture("progress-of-a-killed-step")
    browser.until(
        lambda: browser.text("[data-text='steps.train_scratch.said']").endswith("(try 2)"),
        "the second try",
    )
    browser.until(lambda: browser.script(accuracy).count("L") > before, "more of the curve", 120)
    lines = AirflowClient(settings).log_lines(run_id, "train_scratch", 2)
    assert any("going on from the checkpoint of epoch" in line for line in lines)
    assert browser.script("return window.neverReloaded") is True


def test_the_report_opens_from_the_progress_once_it_is_there(
    browser: "Browser", settings: Settings
) -> None:
    (run,) = runs(settings)
    browser.enter_frame()
    browser.until(
        lambda: AirflowClient(settings).run_state(run["dag_run_id"]) == "success", "the end", 600
    )
    browser.find("#report a", "Report")
    assert browser.script("return window.neverReloaded") is True
    browser.picture("progress-of-a-finished-run")
    browser.click("#report a", "Report")
    assert_report(browser)
    browser.picture("report")


def test_the_report_opens_from_the_list_in_the_navigation(
    browser: "Browser", settings: Settings
) -> None:
    (run,) = runs(settings)
    browser.open("/")
    browser.click("a", "Reports")
    browser.enter_frame()
    browser.click("tbody th a", run["dag_run_id"])
    assert_report(browser)


def test_the_report_opens_from_the_node_that_wrote_it(
    browser: "Browser", settings: Settings
) -> None:
    (run,) = runs(settings)
    browser.open(f"{DAG}/runs/{run['dag_run_id']}/tasks/compare/details")
    link = str(browser.find("a[href*='wildlife-report']", "Report").get_attribute("href"))
    browser.open(link.removeprefix(settings.airflow_url))
    browser.enter_frame()
    assert_report(browser)


def test_the_list_of_runs_is_sorted_by_a_heading(browser: "Browser", settings: Settings) -> None:
    first = runs(settings)[0]["dag_run_id"]
    conf = runs(settings)[0]["conf"] | {"title": "The same again"}
    AirflowClient(settings).trigger("again", conf)
    browser.until(lambda: AirflowClient(settings).run_state("again") == "success", "the run", 300)
    browser.open("/plugin/wildlife-reports")
    browser.enter_frame()
    assert listed(browser) == ["again", f"{first} champion"]
    wide = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    assert browser.script(wide) == 0
    browser.picture("reports")
    browser.click("thead a", "Run")
    browser.find("th[aria-sort=ascending] a", "Run ↑")
    assert listed(browser) == ["again", f"{first} champion"]
    browser.click("thead a", "Run ↑")
    browser.find("th[aria-sort=descending] a", "Run ↓")
    assert listed(browser) == [f"{first} champion", "again"]


def test_a_run_that_found_all_unchanged_says_of_which_run(
    browser: "Browser", settings: Settings
) -> None:
    first = runs(settings)[0]["dag_run_id"]
    browser.open(f"{DAG}/runs/again/plugin/wildlife-progress")
    browser.enter_frame()
    assert browser.text("[data-text='steps.train_scratch.said']").startswith(
        f"unchanged since {first}, verified in "
    )
    curve = browser.find("[data-line='trainings.train_scratch.loss.validation']")
    assert str(curve.get_attribute("d")).count("L") == EPOCHS - 1


def test_the_pages_fit_a_phone_and_follow_airflow_s_theme(
    browser: "Browser", settings: Settings
) -> None:
    for number in range(3):
        name = f"by-hand-of-somebody-with-a-long-name-{number}"
        publish(store_of(settings), name, hours_ago=number, archive="datasets/photos.zip")
    phone = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    for path in ("/wildlife/live/again", "/wildlife/archives", "/wildlife/reports"):
        browser.open(path)
        shades = []
        for theme in ("light", "dark"):
            browser.script(f"localStorage.setItem('theme', '{theme}')")
            browser.driver.refresh()
            browser.find("h1")
            if path == "/wildlife/reports":
                assert browser.find(".trend").size["width"] < 375
            assert browser.script("return document.documentElement.scrollWidth") <= 375, path
            shades.append(browser.script("return getComputedStyle(document.body).backgroundColor"))
        assert shades[0] != shades[1], path
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_who_has_logged_out_is_refused(browser: "Browser", settings: Settings) -> None:
    browser.open("/wildlife/live/again")
    browser.find(".steps")
    page = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.open("/api/v2/auth/logout")
    browser.find("[name=password]")
    browser.driver.close()
    browser.driver.switch_to.window(page)
    told = browser.find("#problem").text
    assert told.startswith("You are not logged in any more")
    for path in ("/wildlife/live/again", "/wildlife/reports", "/wildlife/reports/again"):
        browser.open(path)
        browser.find("[name=password]")
        assert "/auth/login" in browser.driver.current_url


def listed(browser: "Browser") -> list[str]:
    """The runs of the list, each with what is beside its name."""
    return [row.text for row in browser.driver.find_elements("css selector", "tbody th")]


def assert_report(browser: "Browser") -> None:
    """The report stands in a frame of the page that is open, under its bar."""
    browser.find(".bar a", "Download (zip)")
    browser.driver.switch_to.frame(browser.find("iframe[title^='Report of']"))
    assert "synthetic" in browser.text("main, body").lower()
    assert len(browser.driver.find_elements("css selector", "img")) >= 4
