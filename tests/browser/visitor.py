"""What a person does at the dashboard, in their words; for any address where one runs."""

from pathlib import Path

from playwright.sync_api import Page, expect


class Visitor:
    """A person at a browser window. `downloads` is where their files go."""

    def __init__(self, page: Page, url: str, downloads: Path) -> None:
        self.page = page
        self.url = url
        self.downloads = downloads

    def go(self, path: str) -> None:
        """Open a page by its path."""
        self.page.goto(self.url + path)

    def press(self, name: str, *, sure: bool = False) -> None:
        """Press a button; `sure` answers yes where the page asks."""
        if sure:
            self.page.once("dialog", lambda dialog: dialog.accept())
        self.page.get_by_role("button", name=name).first.click()

    def sees(self, text: str) -> None:
        """Wait until the page shows a text."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def log_in(self, email: str, password: str) -> None:
        """Log in."""
        self.go("/login")
        self.page.get_by_label("E-mail address").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.press("Log in")
        self.sees("Models")

    def register_model(self, name: str) -> None:
        """Register a model and open its first draft."""
        self.go("/new/model")
        self.page.get_by_label("Name").fill(name)
        self.press("Register")
        self.press("Open a draft")
        self.sees("Version 1")

    def upload(self, *files: Path) -> None:
        """Upload files into the draft whose page is open, and wait until they are kept."""
        self.page.get_by_label("Choose files").set_input_files(files)
        with self.page.expect_navigation():
            self.press("Upload")
        for file in files:
            self.sees(file.name)

    def publish(self) -> None:
        """Publish the draft whose page is open."""
        self.press("Publish version", sure=True)
        self.sees("Root digest")

    def make_key(self) -> Path:
        """In step 1 of the lock wizard: make a key for the options chosen; its path back."""
        with self.page.expect_download() as download:
            self.press("Make the key and save it")
        path = self.downloads / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def commit(self) -> None:
        """Register the commitment of the key just made."""
        self.page.get_by_label("I have the key file.").check()
        self.press("Register the commitment and go on")
        self.sees("Training images")

    def start_lock(self, key: Path, **settings: str) -> None:
        """In step 2: hand in the key and start the job. `settings` by the fields' names."""
        self._fill(key, "More settings", settings)
        self.press("Start locking")

    def name_endpoint(self, *, name: str, url: str, model: str, classes: int) -> None:
        """Name a suspect; the form for a run comes next."""
        self.go("/new/suspect")
        for label, value in (("Name", name), ("Server address", url), ("Model", model)):
            self.page.get_by_label(label, exact=True).fill(value)
        self.page.get_by_label("Classes").fill(str(classes))
        self.press("Name this suspect")
        self.sees("Start a run")

    def start_run(self, key: Path, protection: str, **settings: str) -> None:
        """Start a run against the suspect just named. `protection` is part of its label."""
        option = self.page.locator("[name=protection] option", has_text=protection)
        self.page.select_option("[name=protection]", option.get_attribute("value"))
        self._fill(key, "How strict the test is", settings)
        self.press("Start the run")

    def waits_for(self, text: str, *, seconds: float) -> None:
        """Wait for something that a worker brings."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=1000 * seconds)

    def _fill(self, key: Path, fold: str, settings: dict[str, str]) -> None:
        self.page.set_input_files("[name=key_file]", key)
        if settings:
            self.page.get_by_text(fold).click()
        for name, value in settings.items():
            self.page.fill(f"[name={name}]", value)


def bodies(page: Page) -> list[bytes]:
    """A list that grows with the body of every request that the window sends."""
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    return sent
