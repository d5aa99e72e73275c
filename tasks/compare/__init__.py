"""Compare the two networks on the same test photos, and publish the report."""

from tasks.compare.publish import publish_report
from tasks.contract.config import CompareOptions
from tasks.contract.step import Facts, Job, Step


def _run(job: Job) -> Facts:
    from tasks.compare.report import write_report  # matplotlib, SciPy: not for a cache hit

    return write_report(job)


STEP = Step(
    name="compare",
    options=CompareOptions,
    inputs=("fetch", "preprocess", "train_scratch", "train_transfer", "champion"),
    code=(
        "tasks.compare",
        "tasks.contract.archive",
        "tasks.contract.decision",
        "tasks.contract.photos",
        "tasks.contract.statistics",
        "tasks.contract.training",
    ),
    run=_run,
    after=publish_report,
)
