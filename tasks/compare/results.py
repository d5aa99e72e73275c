"""Reading what a step has left, with one line about what cannot be read and how to mend it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

from pydantic import BaseModel, ValidationError

from tasks.compare.names import shortened
from tasks.contract.errors import InputError
from tasks.contract.step import Artifact

_Content = TypeVar("_Content")
_Model = TypeVar("_Model", bound=BaseModel)


def read_file(name: str, artifact: Artifact, read: Callable[[Path], _Content]) -> _Content:
    """What ``read`` makes of one of a result's files.

    Raises:
        InputError: there is no such file, or it is not what ``read`` can read.
    """
    path = artifact.path(name)
    try:
        return read(path)
    except (ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
        fault = first_fault(error) if isinstance(error, ValidationError) else repr(error)
        step = artifact.manifest.step
        raise InputError(
            f"{name} of {step} cannot be read ({shortened(fault)}): run {step} again with force"
        ) from None


def validated(model: type[_Model], content: dict[str, object], step: str) -> _Model:
    """Facts or measurements as a model has them.

    Raises:
        InputError: names the one that is missing or wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"the result of {step} cannot be read ({shortened(first_fault(error))}): "
            f"run {step} again with force"
        ) from None


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong: where, and what."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place or 'the whole'}: {fault['msg']}"
