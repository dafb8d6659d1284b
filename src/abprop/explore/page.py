"""The page: a tab for each thing that can be done with signals of this kind."""

from __future__ import annotations

import re
import time

import gradio as gr

from abprop.errors import UserError
from abprop.explore import between, cells, complete, endless, vary
from abprop.report.figures import own
from abprop.run import Run
from abprop.say import Say, shown

TABS = {
    "Vary": vary,
    "Complete": complete,
    "Complete a row": cells,
    "Between four": between,
    "Any size": endless,
}
_MARKS = re.compile(r"[!-/:-@\[-`{-~]")  # every letter that Markdown or HTML may take as its own
# Fonts of the machine: none is fetched.
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def built(run: Run, say: Say) -> gr.Blocks:
    """The page of a run, its data read.

    Raises:
        UserError: nothing of it can be shown, or its data are not where they were.
    """
    fitting = {name: tab for name, tab in TABS.items() if tab.fits(run)}
    if not fitting:
        shape = "x".join(map(str, run.shape))
        raise UserError(f"{run.folder}: there is no page for signals of {shape}; use sample")
    if own(run) is None:
        say(f"{run.folder}: its data were not found (--data says where), so nothing is completed")
    say("preparing the page")
    with gr.Blocks(title=f"abprop: {run.folder.name}", analytics_enabled=False) as page:
        size, kind = "x".join(map(str, run.shape)), run.kind
        gr.Markdown(f"## {_literal(run.folder.name)}\n{kind.counted(len(run.names))} of {size}")
        for name, tab in fitting.items():
            with gr.Tab(name):
                tab.tab(run, page)
    return page


def _literal(name: str) -> str:
    """A name as Markdown that shows it, whatever it is."""
    return _MARKS.sub(r"\\\g<0>", shown(name))


def serve(
    page: gr.Blocks, host: str, port: int | None, upload: int, *, wait: bool, say: Say
) -> str:
    """Serve a page; returns its address."""
    page.queue(default_concurrency_limit=1, max_size=32)
    _, address, _ = page.launch(
        server_name=host, server_port=port, share=False, inbrowser=False, quiet=True,
        prevent_thread_lock=True, max_file_size=upload, theme=THEME, footer_links=[],
        ssr_mode=False,
    )  # fmt: skip
    say(f"page: {address} (Ctrl-C ends it)")
    if wait:
        _until_stopped(page)
    return address


def _until_stopped(page: gr.Blocks) -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        page.close()
