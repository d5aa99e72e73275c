"""A real browser for the tests: Debian's Chromium, driven through its own driver."""

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_SECONDS = 60.0


class Browser:
    """One window. Whatever is looked for is waited for: Airflow's page is drawn piece by piece."""

    def __init__(self, base: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for argument in (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-proxy-server", "--window-size=1300,1100"),
        ):
            options.add_argument(argument)
        service = webdriver.ChromeService(str(DRIVER))
        self._base = base
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(self, path: str) -> None:
        self.driver.switch_to.default_content()
        self.driver.get(f"{self._base}{path}")

    def find(self, selector: str, text: str = "", seconds: float = _SECONDS) -> WebElement:
        """The first visible element of a CSS selector, of exactly this text if one is given."""

        def found() -> WebElement | None:
            for element in self.driver.find_elements(By.CSS_SELECTOR, selector):
                if element.is_displayed() and (not text or element.text.strip() == text):
                    return element
            return None

        return self.until(found, f"{selector} {text}", seconds)

    def click(self, selector: str, text: str = "") -> None:
        def clicked() -> bool:
            element = self.find(selector, text)
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            try:
                element.click()
            except ElementClickInterceptedException:
                return False
            return True

        self.until(clicked, f"a click on {selector} {text}")

    def enter(self, name: str, value: object) -> None:
        """Put a value in the place of a field's."""
        field = self.find(f"[name={name}]")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(value), Keys.TAB)

    def text(self, selector: str) -> str:
        return str(self.find(selector).text)

    def script(self, code: str) -> Any:
        return self.driver.execute_script(code)

    def enter_frame(self, *selectors: str) -> None:
        """Go into a frame of the page, and into one within it."""
        self.driver.switch_to.default_content()
        for selector in selectors or ("iframe",):
            self.driver.switch_to.frame(self.find(selector))

    def picture(self, name: str) -> None:
        """Keep what is seen, in light and dark, if somebody asked for pictures."""
        folder = os.environ.get("WILDLIFE_TEST_PICTURES")
        if folder is None:
            return
        for theme in ("dark", "light"):
            # As next-themes in Airflow's page hears of a change in another window.
            self.driver.execute_script(
                "localStorage.setItem('theme', arguments[0]);"
                "for (const seen of new Set([top, self]))"
                " seen.dispatchEvent(new StorageEvent('storage',"
                " {key: 'theme', newValue: arguments[0], storageArea: localStorage}))",
                theme,
            )
            time.sleep(1)  # until all is drawn
            self.driver.save_screenshot(f"{folder}/{name}-{theme}.png")

    @staticmethod
    def until(condition: Callable[[], Any], what: str, seconds: float = _SECONDS) -> Any:
        """What a condition gives once that is something.

        Raises:
            AssertionError: nothing came of it in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
            except (NoSuchElementException, StaleElementReferenceException):
                pass
            time.sleep(0.2)
        raise AssertionError(f"waited {seconds:.0f} s for {what}")
