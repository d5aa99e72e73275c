"""The step itself: evidence in; numbers, pictures and words out."""

from tasks.compare.answers import answered_photos
from tasks.compare.csv_files import ANSWERS_CSV, write_answers
from tasks.compare.data_card import write_data_card
from tasks.compare.earlier_runs import read_earlier_runs
from tasks.compare.evidence import read_evidence
from tasks.compare.figures import draw_figures
from tasks.compare.page import render_markdown, render_page
from tasks.compare.publish import MARKDOWN_FILE, PAGE_FILE, SCHEMA_FILE, SUMMARY_FILE
from tasks.compare.run_history import write_run_history
from tasks.compare.schema import summary_schema
from tasks.compare.shown_photos import shown_photos
from tasks.compare.summary import StepOrigin, summarise
from tasks.compare.tables import write_tables
from tasks.contract.manifest import now
from tasks.contract.step import Facts, Job, provenance


def write_report(job: Job) -> Facts:
    """Write the page, its Markdown twin, the summary, the pictures and the full lists.

    Raises:
        InputError: the two networks were not tested on the same photos and classes.
    """
    evidence = read_evidence(
        job.inputs["fetch"],
        job.inputs["preprocess"],
        job.inputs["train_scratch"],
        job.inputs["train_transfer"],
        job.inputs["champion"],
    )
    compared = StepOrigin(
        run_id=job.run_id,
        created=now(),
        options=job.options.model_dump(mode="json"),
        produced_by=provenance(),
    )
    earlier = read_earlier_runs(job.store, job.run_id, compared.created)
    summary = summarise(evidence, job.options.title, compared, earlier)
    figures = draw_figures(evidence, summary, job.output)
    answers = answered_photos(evidence)
    write_answers(answers, job.output / ANSWERS_CSV)
    shown = shown_photos(answers, job.inputs["preprocess"], evidence.data.image_size)
    card = write_data_card(evidence, job.inputs["preprocess"], summary, job.output)
    history = write_run_history(summary, job.output)
    write_tables(evidence, summary, job.output)
    page = render_page(summary, figures, shown, card, history, job.output)
    (job.output / PAGE_FILE).write_text(page, encoding="utf-8")
    markdown = render_markdown(summary, figures, shown, card, history)
    (job.output / MARKDOWN_FILE).write_text(markdown, encoding="utf-8")
    (job.output / SUMMARY_FILE).write_text(summary.model_dump_json(indent=1) + "\n")
    (job.output / SCHEMA_FILE).write_text(summary_schema(), encoding="utf-8")
    return summary.headline
