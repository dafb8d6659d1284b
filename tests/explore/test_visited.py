"""The page in a browser: what a visitor does, what it says, and that nothing leaves the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from tiny import Command

pytest.importorskip("gradio", reason="gradio is not installed")
sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
PATIENCE = 30_000  # ms: the machine may be busy

browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


@pytest.fixture(scope="module")
def server(faces: Path) -> Iterator[tuple[str, int]]:
    """The address of a page that `abprop explore` serves, and the process's number."""
    port = free_port()
    command = [sys.executable, "-m", "abprop", "explore", faces, "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert child.stderr is not None
    told = next((line for line in child.stderr if line.startswith("page: ")), "")
    assert told == f"page: http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
    yield f"http://127.0.0.1:{port}/", child.pid
    child.terminate()
    assert child.wait(20) in (0, 3)
    child.stderr.close()


@pytest.fixture
def visit(server: tuple[str, int]):
    """A visitor on the page; at the end nothing was complained of and nothing fetched elsewhere."""
    address, _ = server
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(PATIENCE)
        bad: list[str] = []
        page.on("console", lambda m: m.type == "error" and bad.append(m.text))
        page.on("pageerror", lambda error: bad.append(str(error)))
        local = (address, "data:", "blob:")
        page.on("request", lambda r: r.url.startswith(local) or bad.append(r.url))
        page.goto(address)
        yield page
        chromium.close()
    assert bad == []


def source(page, name: str) -> str:
    return page.locator(f"#{name} img").get_attribute("src") or ""


def changed(page, name: str, before: str) -> str:
    """The picture's new address, once it is another one."""
    page.wait_for_function(
        "([name, before]) => { const img = document.querySelector(`#${name} img`);"
        " return img && img.src !== before }",
        arg=[name, before],
    )
    return source(page, name)


def stroke(page, down: int) -> None:
    """Paint across the middle of the canvas, so many pixels below it."""
    box = page.locator("#paint canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + down
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    page.mouse.up()


@browser
def test_a_painted_mask_is_completed_and_completed_again(visit):
    visit.get_by_role("tab", name="Complete").click()
    visit.locator("#paint canvas").first.wait_for()
    visit.wait_for_timeout(1500)  # until the editor has drawn the picture
    stroke(visit, -40)
    first = changed(visit, "completed", "")
    assert "% hidden; standard deviation there" in visit.locator("body").inner_text()
    stroke(visit, 60)
    changed(visit, "completed", first)


@browser
def test_a_slider_moves_the_signal_and_a_dropped_picture_the_sheet(visit, tmp_path: Path):
    visit.locator("#signal img").wait_for()
    before = source(visit, "signal")
    visit.get_by_role("button", name="A draw").click()
    before = changed(visit, "signal", before)
    visit.get_by_role("slider").first.press("End")
    changed(visit, "signal", before)
    visit.get_by_role("tab", name="Between four").click()
    visit.locator("#sheet img").wait_for()
    before = source(visit, "sheet")
    Image.fromarray(np.full((20, 20), 200, np.uint8)).save(tmp_path / "mine.png")
    visit.locator("#corner-1 button").first.click()
    visit.locator("#corner-1 input[type=file]").set_input_files(tmp_path / "mine.png")
    changed(visit, "sheet", before)


def test_it_listens_to_this_machine_alone(server: tuple[str, int]):
    _, pid = server
    listening = [c for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}


def test_what_cannot_be_served_is_one_line(faces: Path, server: tuple[str, int], abprop: Command):
    port = server[0].rpartition(":")[2].strip("/")
    assert f"--port {port}" in abprop("explore", faces, "--port", port).complaint
    assert "no such run" in abprop("explore", faces.parent / "none").complaint
    assert "--port" in abprop("explore", faces, "--port", "0").complaint
