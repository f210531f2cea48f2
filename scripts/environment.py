"""Virtual environment with the project installed, for the two commands of the README. It needs only the standard library."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv"
OLDEST, TOO_NEW = (3, 10), (3, 14)


def in_environment(requirement: str) -> str:
    """Install `requirement` (`.`, or `.[dev]`) into `.venv`, made if needed; return its Python, as typed from the root."""
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        sys.exit(f"error: Python 3.10 to 3.13 is needed: TensorFlow has no package for {sys.version.split()[0]}.")
    os.chdir(ROOT)
    python = os.path.join(".venv", "Scripts" if os.name == "nt" else "bin", "python")
    if not Path(python).exists():
        print(f"$ {sys.executable} -m venv .venv", flush=True)
        try:
            venv.create(FOLDER, with_pip=True)
        except subprocess.CalledProcessError:
            sys.exit("error: this Python cannot make an environment with pip; on Debian, apt-get install python3-venv first.")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", requirement)
    return python


def run(*command: str) -> None:
    """Show a command and run it; end the program with its exit code if it fails."""
    print("$", " ".join(command), flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)
