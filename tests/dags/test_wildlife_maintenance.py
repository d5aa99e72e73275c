"""The maintenance DAG: weekly, a dry run unless somebody says otherwise, and thin."""

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronTriggerTimetable

from tasks.contract.config import RetentionOptions
from tasks.contract.errors import ConfigurationError
from tests.plugins.airflow_home import ROOT
from wildlife.form import chosen_options
from wildlife.settings import settings


def parsed() -> DAG:
    settings.cache_clear()
    bag = DagBag(ROOT / "dags")
    settings.cache_clear()
    assert bag.import_errors == {}
    return bag.dags["wildlife_maintenance"]


def test_it_has_one_explained_node_whose_fields_airflow_does_not_render() -> None:
    dag = parsed()
    [node] = dag.tasks
    assert (node.task_id, node.task_display_name) == ("retention", "Retention")
    assert node.doc_md
    assert dag.doc_md
    assert not node.template_fields
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert {"wildlife", "maintenance"} == set(dag.tags)


def test_an_untouched_form_is_a_dry_run_with_the_model_s_defaults() -> None:
    form = {name: dag_param.resolve() for name, dag_param in parsed().params.items()}
    asked = chosen_options(form)
    assert asked.pop("dry_run") is True
    assert RetentionOptions.parse(asked) == RetentionOptions()


def test_settings_say_when_it_runs_and_what_the_form_begins_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parsed().timetable == CronTriggerTimetable("@weekly", timezone="UTC")
    monkeypatch.setenv("WILDLIFE_RETENTION_SCHEDULE", "off")
    monkeypatch.setenv("WILDLIFE_RETENTION_OPTIONS", '{"keep_reports": 7}')
    dag = parsed()
    assert dag.schedule is None
    assert dag.params["keep_reports"] == 7


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("SCHEDULE", "weekly", "give a cron expression"),
        ("OPTIONS", '{"keep_reports": -1}', "'keep_reports' is -1: must be 0 or more"),
        ("OPTIONS", '{"keep": 1}', "unknown option 'keep'"),
        ("REMOVES", "perhaps", "boolean"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(f"WILDLIFE_RETENTION_{name}", value)
    settings.cache_clear()
    with pytest.raises(ConfigurationError, match=f"^WILDLIFE_RETENTION_{name} is .*") as caught:
        settings()
    settings.cache_clear()
    assert complaint in str(caught.value)
