"""The report's page in a browser: axe-core finds nothing, on a desk and on a phone, light and dark."""

import html
import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.stage import report
from tests.report import conftest as fixtures
from tests.services import stack

pytestmark = pytest.mark.services

PACKAGES = ("axe_playwright_python", "axe_core_python")
"""Either brings axe.min.js; the first has the newer one, and a browser driver that is not needed here."""
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
FRAME = '<!DOCTYPE html><body><iframe id="page"></iframe><pre id="found"></pre><script>{}</script>'
SCRIPT = """
const frame = document.getElementById("page");
frame.style = "width: WIDTHpx; height: 900px; border: 0";
frame.onload = async () => {
  const inner = frame.contentWindow;
  inner.eval(AXE);
  const found = await inner.axe.run(inner.document);
  const where = nodes => nodes.map(node => node.failureSummary + " " + node.html);
  document.getElementById("found").textContent = JSON.stringify({
    width: inner.innerWidth,
    needs: inner.document.documentElement.scrollWidth,
    dark: inner.matchMedia("(prefers-color-scheme: dark)").matches,
    scripts: inner.document.scripts.length,
    passes: found.passes.map(({id}) => id),
    violations: found.violations.map(({id, nodes}) => [id, where(nodes)]),
  });
};
frame.srcdoc = PAGE;
"""


@pytest.fixture(scope="session")
def axe() -> str:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin and (script := Path(spec.origin).parent / "axe.min.js").exists():
            return script.read_text(encoding="utf-8")
    pytest.skip("axe-core is missing: pip install axe-core-python")


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A study with all that a page can have, and the recipe's, with its warnings."""
    made = {}
    for name, rates, seeds, overrides in (
        ("full", (0.3, 0.1, 0.01, 0.001), (0, 1, 2), {}),
        ("recipe", (0.1, 0.01, 0.0001), (0,), {"data": {"validation_size": 0}}),
    ):
        folder = fixtures.write_study(tmp_path_factory.mktemp(name), rates, seeds, 12, overrides=overrides)
        fixtures.write_range_test(folder / "range_test", {"steepest": 0.0011, "minimum / 10": 0.08})
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            report(Path("data/scaled"), Path("runs"), Path("report"), Path("range_test"))
        made[name] = (folder / "report/index.html").read_text(encoding="utf-8")
    return made


def check(page: str, axe: str, width: int, place: Path, *, dark: bool) -> dict[str, Any]:
    """Run axe on a page in a frame of this width, since a browser's window cannot be so narrow as a phone."""
    page, found = POLICY.subn("", page)  # it would keep axe out, as it should any script
    assert found == 1
    texts = {"WIDTH": str(width), "AXE": _quoted(axe), "PAGE": _quoted(page)}
    script = re.sub("WIDTH|AXE|PAGE", lambda name: texts[name[0]], SCRIPT)
    place.mkdir()
    (place / "frame.html").write_text(FRAME.format(script), encoding="utf-8")
    command = [stack.need_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-sync", f"--user-data-dir={place / 'browser'}", "--window-size=1600,1000"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command += ["--virtual-time-budget=60000", "--dump-dom", (place / "frame.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    result = re.search(r'<pre id="found">(.*?)</pre>', shown, re.DOTALL)
    assert result, shown[-2000:]
    assert result[1], "axe-core did not answer"
    return dict(json.loads(html.unescape(result[1])))


def _quoted(text: str) -> str:
    """As a JavaScript string that can stand inside of a script element."""
    return json.dumps(text).replace("<", "\\u003c")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("name", ["full", "recipe"])
def test_axe_finds_no_violation(
    pages: dict[str, str], axe: str, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    found = check(pages[name], axe, width, tmp_path / "page", dark=dark)
    assert (found["width"], found["dark"], found["scripts"]) == (width, dark, 0)
    assert found["needs"] <= width, "the page scrolls sideways"
    assert {"color-contrast", "document-title", "html-has-lang", "svg-img-alt"} <= set(found["passes"])
    assert found["violations"] == []


def test_axe_would_find_one(pages: dict[str, str], axe: str, tmp_path: Path) -> None:
    spoiled = pages["full"].replace("</header>", '<p style="color: #ccc; background: #fff">pale</p></header>')
    found = check(spoiled, axe, 1400, tmp_path / "page", dark=False)
    assert [rule for rule, _ in found["violations"]] == ["color-contrast"]
