"""Train: EfficientNet-B0 twice, from random weights and on a frozen pretrained network.

Importing this package does not import TensorFlow; running one of its steps does.
"""

from tasks.contract.config import ScratchOptions, TransferOptions
from tasks.contract.step import Facts, Job, Step
from tasks.train.heartbeat import Heartbeat
from tasks.train.live import publish_cached
from tasks.train.quiet import hushed

_CODE = ("tasks.train", "tasks.contract.photos", "tasks.contract.training")


def _train_scratch(job: Job) -> Facts:
    with Heartbeat("train_scratch"):
        with hushed():
            from tasks.train.scratch import train_scratch  # TensorFlow: not for a cache hit

        return train_scratch(job)


def _train_transfer(job: Job) -> Facts:
    with Heartbeat("train_transfer"):
        with hushed():
            from tasks.train.transfer import train_transfer  # TensorFlow: not for a cache hit

        return train_transfer(job)


SCRATCH = Step(
    name="train_scratch",
    code=_CODE,
    options=ScratchOptions,
    inputs=("preprocess",),
    run=_train_scratch,
    after=publish_cached,
)
TRANSFER = Step(
    name="train_transfer",
    code=_CODE,
    options=TransferOptions,
    inputs=("preprocess",),
    run=_train_transfer,
    after=publish_cached,
)
