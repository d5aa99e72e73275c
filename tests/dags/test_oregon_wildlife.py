"""The DAG: it parses fast, has a node for each step, and its form is the configuration model."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, AssetAlias, Param
from airflow.sdk.exceptions import ParamValidationError

from tasks.contract.config import Config
from tasks.contract.errors import ConfigurationError
from tasks.registry import STEP_NAMES
from tests.plugins.airflow_home import ROOT
from wildlife.alerts.drops import tell_of_drops
from wildlife.alerts.failure import tell_of_failure
from wildlife.form import chosen_options, trigger_form
from wildlife.pages.app import app
from wildlife.pages.progress import NODES, STEPS
from wildlife.settings import alert_settings, settings

DOCUMENTATION = {path.stem: path.read_text() for path in (ROOT / "dags" / "doc").glob("*.md")}
OPTIONS = Config.model_json_schema()["properties"]


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    assert set(bag.dags) == {"oregon_wildlife", "wildlife_maintenance"}
    return bag.dags["oregon_wildlife"]


def test_every_step_is_a_visible_node_and_there_are_no_others(dag: DAG) -> None:
    assert set(dag.task_ids) == set(STEP_NAMES)


@pytest.mark.parametrize(
    ("node", "after"),
    [
        ("fetch", set()),
        ("preprocess", {"fetch"}),
        ("train_scratch", {"preprocess"}),
        ("train_transfer", {"preprocess"}),
        ("champion", {"train_scratch", "train_transfer"}),
        ("compare", {"champion"}),
        ("promote", {"compare"}),
    ],
)
def test_nodes_follow_one_another_as_the_readme_says(dag: DAG, node: str, after: set[str]) -> None:
    assert dag.get_task(node).upstream_task_ids == after


def test_a_person_is_asked_between_report_and_promotion_if_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WILDLIFE_PROMOTE_BY", "person")
    monkeypatch.setenv("WILDLIFE_PROMOTE_WAIT_HOURS", "1.5")
    settings.cache_clear()
    bag = DagBag(ROOT / "dags")
    settings.cache_clear()
    assert bag.import_errors == {}
    asking = bag.dags["oregon_wildlife"]
    assert set(asking.task_ids) == set(NODES)
    approve = asking.get_task("approve")
    assert approve.upstream_task_ids == {"compare"}
    assert approve.downstream_task_ids == {"promote"}
    assert asking.get_task("promote").upstream_task_ids == {"approve"}
    assert approve.response_timeout == timedelta(hours=1.5)
    assert (approve.task_display_name, approve.template_fields) == (NODES["approve"], ())
    assert str(approve.doc_md).startswith("### What it does")


def test_each_node_runs_the_step_of_its_name(dag: DAG) -> None:
    assert {task.task_id: task.step for task in dag.tasks} == {name: name for name in STEP_NAMES}


def test_only_training_waits_for_a_gpu(dag: DAG) -> None:
    on_gpu = {task.task_id for task in dag.tasks if task.pool == "gpu" and task.queue == "gpu"}
    elsewhere = {task.task_id for task in dag.tasks if task.pool == "default_pool"}
    assert on_gpu == {"train_scratch", "train_transfer"}
    assert elsewhere == {"fetch", "preprocess", "champion", "compare", "promote"}


def test_runs_do_not_pile_up_and_steps_are_tried_again(dag: DAG) -> None:
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert {task.retries for task in dag.tasks} == {2}
    assert {task.retry_delay for task in dag.tasks} == {timedelta(seconds=30)}
    assert {task.execution_timeout for task in dag.tasks} == {timedelta(hours=24)}


def test_of_two_trainings_that_share_a_slot_the_quick_one_goes_first(dag: DAG) -> None:
    """Weights that cannot be had show after a minute, not after hours of the other one."""
    scratch, transfer = dag.get_task("train_scratch"), dag.get_task("train_transfer")
    assert scratch.pool == transfer.pool
    assert transfer.priority_weight > scratch.priority_weight


def test_only_the_node_that_writes_the_report_links_to_it(dag: DAG) -> None:
    linking = {task.task_id for task in dag.tasks if task.operator_extra_links}
    assert linking == {"compare"}


def test_report_models_and_champion_are_published_by_the_nodes_that_make_them(dag: DAG) -> None:
    published = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks}
    assert published == {
        "fetch": [],
        "preprocess": [],
        "train_scratch": ["wildlife_model_scratch"],
        "train_transfer": ["wildlife_model_transfer"],
        "champion": [],
        "compare": ["wildlife_report"],
        "promote": ["wildlife_champion"],
    }
    assert isinstance(dag.get_task("promote").outlets[0], AssetAlias), "published at each success"


def test_the_dag_and_each_node_explain_themselves(dag: DAG) -> None:
    assert dag.doc_md is not None
    assert dag.doc_md.startswith("# Wildlife photo classifiers\n")
    for task in dag.tasks:
        told = str(task.doc_md)
        for answer in ("What it does", "How long", "If it fails", "Where the result is"):
            assert told.count(f"### {answer}\n") == 1, (task.task_id, answer)
    titles = {task.task_id: task.task_display_name for task in dag.tasks}
    assert titles == STEPS, "the progress page calls a node by another name"


def test_a_node_is_called_in_the_documentation_as_it_is_on_the_page(dag: DAG) -> None:
    called = re.findall(r'"([A-Z][A-Za-z, ]+)"', "".join(DOCUMENTATION.values()))
    known = {*NODES.values(), *(str(schema["title"]) for schema in OPTIONS.values())}
    known |= {"Trigger", "Run Parameters", "Required Actions"}  # Airflow's own
    known |= {"Champion", "Limits"}  # sections of the form
    known |= {"Progress", "Report", "Reports"}  # the plugin's
    assert [name for name in called if name not in known] == []


@pytest.mark.parametrize("name", DOCUMENTATION)
def test_a_link_of_the_documentation_leads_to_a_page_of_the_plugin(name: str) -> None:
    pages = {f"wildlife{route.path}" for route in app.routes}
    assert set(re.findall(r"\]\((.*?)\)", DOCUMENTATION[name])) <= pages


@pytest.mark.parametrize("link", ["", "mailto:wildlife@example.org", "https://example.org/team"])
def test_whoever_answers_for_the_workflow_can_be_reached(
    monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    monkeypatch.setenv("WILDLIFE_OWNER", "rangers")
    monkeypatch.setenv("WILDLIFE_OWNER_LINK", link)
    settings.cache_clear()
    dag = DagBag(ROOT / "dags").dags["oregon_wildlife"]
    settings.cache_clear()
    assert {task.owner for task in dag.tasks} == {"rangers"}
    assert dag.owner_links == ({"rangers": link} if link else {})


def test_nobody_is_alerted_unless_that_is_set(dag: DAG) -> None:
    assert (dag.on_failure_callback, dag.deadline) == (None, None)
    assert not any(task.on_success_callback or task.on_failure_callback for task in dag.tasks)


def test_a_failure_is_the_run_s_and_a_drop_is_told_with_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_WEBHOOK", "rangers_chat")
    monkeypatch.setenv("WILDLIFE_ALERT_DEADLINE_HOURS", "36")
    alert_settings.cache_clear()
    dag = DagBag(ROOT / "dags").dags["oregon_wildlife"]
    alert_settings.cache_clear()
    assert dag.on_failure_callback == tell_of_failure
    assert not any(task.on_failure_callback for task in dag.tasks), "it would be told per node"
    telling = {task.task_id: list(task.on_success_callback) for task in dag.tasks}
    assert {node: told for node, told in telling.items() if told} == {"compare": [tell_of_drops]}
    (deadline,) = dag.deadline
    assert deadline.interval == timedelta(hours=36)


def test_no_node_has_a_field_that_airflow_renders(dag: DAG) -> None:
    """What is rendered as a template may run what a user typed."""
    assert not any(task.template_fields for task in dag.tasks)


def test_parsing_the_dag_loads_nothing_that_trains_or_draws() -> None:
    code = (
        "import sys, runpy; runpy.run_path('dags/oregon_wildlife.py')\n"
        "heavy = ('tensorflow', 'keras', 'matplotlib', 'scipy', 'sklearn', 'PIL', 'aiosmtplib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[]", answer.stderr


def test_the_form_offers_every_option_section_by_section_in_the_model_s_order() -> None:
    form = trigger_form()
    assert form.keys() == Config.model_fields.keys()
    sections = [OPTIONS[name]["section"] for name in form]
    assert list(dict.fromkeys(sections)) == ["Run", "Training", "Champion", "Photos", "Limits"]
    assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index)
    for section in set(sections):
        inside = [name for name in form if OPTIONS[name]["section"] == section]
        assert inside == [name for name in Config.model_fields if name in inside]


def test_the_form_opens_with_what_a_first_run_needs() -> None:
    """Airflow opens only the section that has no name."""
    opened = [name for name, param in trigger_form().items() if "section" not in param.schema]
    assert opened[0] == "archive"
    assert {"recipe", "scratch_epochs", "weights", "force"} <= set(opened)
    assert len(opened) < 10


@pytest.mark.parametrize("name", OPTIONS)
def test_the_form_shows_all_that_the_model_says_of_an_option(name: str) -> None:
    schema: dict[str, Any] = OPTIONS[name]
    param = trigger_form()[name]
    said = {key: value for key, value in schema.items() if key not in ("default", "description")}
    if said["section"] == "Run":
        del said["section"]
    if schema["default"] == "":
        said["type"] = ["string", "null"]
    if "anyOf" in said:  # a number, or what the recipe says
        number, null = said.pop("anyOf")
        assert null == {"type": "null"}
        said |= number | {"type": [number["type"], "null"]}
    shown = dict(param.schema)
    assert shown.pop("description_md").startswith(schema["description"])
    assert shown == said
    assert param.description is None, "Airflow's form would show it instead, without links"
    assert not {"anyOf", "allOf", "$ref"} & set(param.schema), "Airflow's form cannot show these"


def test_the_form_tells_what_is_allowed() -> None:
    form = trigger_form()
    told = {name: param.schema["description_md"] for name, param in form.items()}
    assert told["image_size"].endswith(" expects 224. From 32 to 600.")
    assert told["scratch_learning_rate"].endswith(" recipe. Above 0, at most 1.")
    assert told["min_photos_per_class"].endswith(" this. From 3 to 100,000.")
    assert told["max_refused_share"].endswith(" used. From 0 to 1.")
    assert "It is 64 of the digits 0-9 and a-f, or empty." in told["weights_sha256"]


def test_each_choice_of_a_list_is_explained_in_it() -> None:
    for name, param in trigger_form().items():
        if "enum" in param.schema:
            shown = param.schema["values_display"]
            assert shown.keys() == set(param.schema["enum"]), name
            assert all(text.startswith(f"{value}: ") for value, text in shown.items()), name


def test_the_archives_are_one_click_away_from_their_field() -> None:
    told = trigger_form()["archive"].schema["description_md"]
    assert told.endswith(" [Archives in the bucket](wildlife/archives)")


def test_an_untouched_form_means_the_model_s_defaults() -> None:
    untouched = {name: param.resolve() for name, param in trigger_form().items()}
    assert Config.parse(chosen_options(untouched)) == Config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 31),
        ("batch_size", 2.5),
        ("validation_share", 0.5),
        ("scratch_learning_rate", 0),
        ("archive", "/etc/passwd"),
        ("weights", "https://example.org/x.h5 "),
        ("weights_sha256", "abc"),
        ("force", "perhaps"),
    ],
)
def test_airflow_itself_refuses_what_the_model_would(name: str, value: object) -> None:
    param: Param = trigger_form()[name]
    with pytest.raises(ParamValidationError):
        param.resolve(value)
    with pytest.raises(ConfigurationError, match=name):
        Config.parse({name: value})


def test_a_runner_that_does_not_exist_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WILDLIFE_RUNNER", "podman")
    settings.cache_clear()
    with pytest.raises(ConfigurationError, match=r"^WILDLIFE_RUNNER is 'podman': .*'docker' or"):
        settings()
    settings.cache_clear()
