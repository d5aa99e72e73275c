"""Pull a photo archive from object storage, prepare it, train EfficientNet-B0 twice on a GPU
worker (from random weights, and from ImageNet weights), and publish a report on what transfer
learning bought.
"""

from airflow.sdk import DAG

from wildlife.form import trigger_form
from wildlife.identity import DAG_ID
from wildlife.operators import step_operator

ABOUT = """
# Wildlife photo classifiers

```
fetch → preprocess → train_scratch, train_transfer → compare
```

**Start a run** with the trigger button. Every option has a default; the archive is a key in the
bucket, `datasets/oregon-wildlife.zip` unless you say otherwise: a zip or tar with one folder of
photos per class.

**Read the result** under *Reports* in the navigation, or by the *Report* link of the task
`compare`.

A step whose code, options and inputs have not changed is not computed again: its log says
"unchanged since run …". Tick *Recompute* to do so all the same.
"""

FETCH = "Pulls the archive from the bucket, checks it whole and lists its classes."

PREPROCESS = """
Decodes every photo once, refuses what cannot be used with a reason, and splits the rest into train,
validation and test so that copies of a photo never cross a split.
"""

TRAIN_SCRATCH = "Trains EfficientNet-B0 from random weights: what the photos alone can teach."

TRAIN_TRANSFER = """
Trains a new head on EfficientNet-B0 with frozen, pretrained weights: what transfer learning adds.
"""

COMPARE = """
Compares both networks on the same test photos and writes the report, with learning curves and
intervals.
"""

GPU = {"pool": "gpu", "queue": "gpu"}

with DAG(
    DAG_ID,
    description="Train a wildlife photo classifier from scratch and by transfer, and compare them",
    doc_md=ABOUT,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=trigger_form(),
    tags=["wildlife", "training"],
    default_args={"owner": "wildlife"},
):
    fetch = step_operator("fetch", task_display_name="Fetch", doc_md=FETCH)
    preprocess = step_operator("preprocess", task_display_name="Preprocess", doc_md=PREPROCESS)
    train_scratch = step_operator(
        "train_scratch", task_display_name="Train from scratch", doc_md=TRAIN_SCRATCH, arm=0, **GPU
    )
    # First where they share a slot: it takes minutes, and weights that cannot be had show at once.
    train_transfer = step_operator(
        "train_transfer",
        task_display_name="Train by transfer",
        doc_md=TRAIN_TRANSFER,
        arm=1,
        priority_weight=2,
        **GPU,
    )
    compare = step_operator("compare", task_display_name="Compare", doc_md=COMPARE)

    fetch >> preprocess >> [train_scratch, train_transfer] >> compare
