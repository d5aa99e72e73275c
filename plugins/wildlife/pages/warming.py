"""What the first list of a process would wait for, done when the process starts."""

import logging
import threading

from tasks.contract.errors import StepError
from wildlife.pages.bucket import open_store
from wildlife.pages.runs import all_runs
from wildlife.pages.serving import load_templates

log = logging.getLogger(__name__)


def start_warming() -> None:
    """Load the templates, the store's client and the headlines, aside: nobody waits for it."""
    threading.Thread(target=warm_up, name="wildlife-pages", daemon=True).start()


def warm_up() -> None:
    """The same, now. It never fails: who asks for a page is told what is wrong."""
    try:
        load_templates()
        all_runs(open_store())
    except StepError as error:
        log.info("the bucket cannot be read yet: %s", error)
    except Exception:
        log.warning("the pages are not warm", exc_info=True)
