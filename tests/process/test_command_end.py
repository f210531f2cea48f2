"""The end of a command: at once where the process is its own, by SystemExit where another program runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LATER = "the program continues"
RUNPY = f"""
import runpy, sys
sys.argv = ["label_image", "--image=missing.jpg", "--graph=missing.pb"]
try:
    runpy.run_module("label_image", run_name="__main__", alter_sys=True)
except SystemExit as end:
    print("{LATER}", end.code)
"""
IMPORTED = f"""
import sys
sys.argv = ["label_image", "--image=missing.jpg", "--graph=missing.pb"]
from label_image.__main__ import start
try:
    start()
except SystemExit as end:
    print("{LATER}", end.code)
"""


@pytest.mark.parametrize("program", [RUNPY, IMPORTED], ids=["runpy", "imported"])
@pytest.mark.parametrize("as_file", [True, False], ids=["file", "text"])
def test_a_program_that_runs_a_command_continues(program: str, as_file: bool, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{program}")
    arguments = [str(script)] if as_file else ["-c", program]
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{LATER} 2\n"), done.stderr


def test_a_process_of_its_own_has_the_exit_code() -> None:
    command = [sys.executable, "-m", "label_image", "--image=missing.jpg", "--graph=missing.pb"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
