"""The workflow's steps by name. A step's module is imported only when it is asked for."""

from importlib import import_module

from tasks.contract.step import Step

_MODULES = {
    "fetch": ("tasks.fetch", "STEP"),
    "preprocess": ("tasks.preprocess", "STEP"),
    "train_scratch": ("tasks.train", "SCRATCH"),
    "train_transfer": ("tasks.train", "TRANSFER"),
    "champion": ("tasks.promotion", "CHAMPION"),
    "compare": ("tasks.compare", "STEP"),
    "promote": ("tasks.promotion", "PROMOTE"),
}

#: The DAG's nodes.
STEP_NAMES = tuple(_MODULES)


def step_named(name: str) -> Step:
    """The step of this name."""
    module, attribute = _MODULES[name]
    step: Step = getattr(import_module(module), attribute)
    return step
